//! Requests for text.

use std::time::Duration;

use llama_engine::{
    EndOfText, GenerateRequest, KeepContext, LlamaEngine, Logprobs, Priority, Prompt, Speculation,
    TokenRules, Urgency,
};
use llama_openai::{
    Extensions, GenerationOptions, RuleExtensions, SamplingOptions, SpeculationField, Stop, WorkExtensions,
};

use super::{count, grammar, sampling};
use crate::{auth::Client, error::ApiError, state::App};

/// Most alternatives to a token that are reported.
const MAX_ALTERNATIVES: u32 = 100;

/// The groups of fields that chat and completion have in common.
pub(crate) type Asked = (GenerationOptions, SamplingOptions, Extensions);

/// What the engine is asked, but for the prompt.
pub(crate) fn generate_request<E: LlamaEngine>(
    app: &App<E>,
    client: Client,
    (options, sampling_options, extensions): Asked,
) -> Result<GenerateRequest, ApiError> {
    let limits = &app.config.limits;
    let Extensions { samplers, work, rules } = extensions;
    check_alternatives("prompt_logprobs", work.prompt_logprobs)?;
    if options.stream_options.is_some() && options.stream != Some(true) {
        return Err(ApiError::invalid("stream_options", "given without `stream`"));
    }
    let max_tokens = options.max_tokens.map(count);
    let is_over =
        |&tokens: &usize| tokens > limits.max_tokens && limits.max_tokens < app.engine.info().context_len;
    if let Some(tokens) = max_tokens.filter(is_over) {
        let reason = format!("{tokens}, this server makes {} at most", limits.max_tokens);
        return Err(ApiError::invalid("max_tokens", reason));
    }
    let context = work.context.as_ref().map(|field| app.contexts.find(field, client)).transpose()?;
    let keep = if work.keep == Some(true) { KeepContext::Yes } else { KeepContext::No };
    if keep == KeepContext::Yes {
        app.contexts.check_room()?;
    }
    Ok(GenerateRequest {
        prompt: Prompt::Tokens(Vec::new()),
        context,
        sampling: sampling(&sampling_options, samplers, options.seed)?,
        max_tokens,
        stop: options.stop.map(Stop::into_texts).unwrap_or_default(),
        end: if rules.ignore_eos == Some(true) { EndOfText::Ignored } else { EndOfText::Stops },
        logprobs: Logprobs { answer: None, prompt: work.prompt_logprobs.map(|num| num as usize) },
        keep,
        urgency: urgency(&work, limits.max_time),
        speculation: speculation(work.speculation),
        grammar: rules.grammar.clone().map(grammar),
        rules: token_rules(rules, &sampling_options),
    })
}

fn token_rules(rules: RuleExtensions, sampling: &SamplingOptions) -> TokenRules {
    TokenRules {
        bias: sampling.logit_bias.iter().flatten().map(|(&token, &bias)| (token, bias)).collect(),
        allowed: rules.allowed_token_ids,
        banned: rules.banned_token_ids.unwrap_or_default(),
        stop: rules.stop_token_ids.unwrap_or_default(),
        min_tokens: rules.min_tokens.map_or(0, count),
    }
}

fn urgency(work: &WorkExtensions, max_time: Duration) -> Urgency {
    let asked = work.deadline_us.map_or(max_time, Duration::from_micros);
    Urgency { priority: Priority(work.priority.unwrap_or(0)), deadline: Some(asked.min(max_time)) }
}

fn speculation(field: Option<SpeculationField>) -> Speculation {
    match field {
        None | Some(SpeculationField::Auto) => Speculation::Auto,
        Some(SpeculationField::Off) => Speculation::Off,
        Some(SpeculationField::Fixed(tokens)) => Speculation::Fixed(tokens as usize),
    }
}

/// Refuses a report on more alternatives than the server makes.
pub(crate) fn check_alternatives(field: &str, asked: Option<u32>) -> Result<(), ApiError> {
    match asked {
        Some(asked) if asked > MAX_ALTERNATIVES => {
            Err(ApiError::invalid(field, format!("{asked}, expected at most {MAX_ALTERNATIVES}")))
        }
        _ => Ok(()),
    }
}

/// Refuses requests for no answer, or for more than one request may have.
pub(crate) fn check_answers(field: &str, asked: usize, limit: usize) -> Result<(), ApiError> {
    match asked {
        0 => Err(ApiError::invalid(field, "no answer is asked for")),
        _ if asked > limit => {
            Err(ApiError::invalid(field, format!("{asked} answers, expected at most {limit}")))
        }
        _ => Ok(()),
    }
}
