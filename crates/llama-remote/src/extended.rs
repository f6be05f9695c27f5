//! Requests to our own server: everything that an engine can be asked, in the wire's types.

use std::collections::BTreeMap;

use llama_engine::{
    Conversation, Dimensions, EmbedInput, EmbedRequest, EndOfText, EngineError, GenerateRequest, Grammar,
    KeepContext, Message, MirostatVersion, Normalization, Overlong, Pooling, Prompt, RequiredCitations, Role,
    Sampling, Speculation, Stage, TokenRules,
};
use llama_openai as wire;
use serde::Serialize;
use serde_json::{Map, Value};

/// A generation, streamed: where it is asked, and what is sent there.
pub(crate) fn generation(
    request: &GenerateRequest,
    model: &str,
    context: Option<wire::ContextField>,
) -> Result<(&'static str, Vec<u8>), EngineError> {
    check_numbers(&request.sampling)?;
    let options = wire::GenerationOptions {
        max_tokens: request.max_tokens.map(|max| max as u64),
        n: None,
        stop: (!request.stop.is_empty()).then(|| wire::Stop::Many(request.stop.clone())),
        seed: request.sampling.seed,
        stream: Some(true),
        stream_options: None,
    };
    let sampling = sampling(&request.sampling, &request.rules)?;
    let extensions = wire::Extensions {
        samplers: samplers(&request.sampling),
        work: work(request, context),
        rules: rules(request),
    };
    let (model, remarks) = (Some(model.to_owned()), wire::Remarks::default());
    if let Prompt::Chat(conversation) = &request.prompt {
        let input = chat(conversation, request, model)?;
        let body = wire::ChatRequest { input, options, sampling, extensions, remarks };
        return Ok(("/v1/chat/completions", json(&body)));
    }
    let input = wire::CompletionInput {
        model,
        prompt: input(&request.prompt),
        logprobs: request.logprobs.answer.map(|num| num as u32),
        ..wire::CompletionInput::default()
    };
    let body = wire::CompletionRequest { input, options, sampling, extensions, remarks };
    Ok(("/v1/completions", json(&body)))
}

/// A prompt to pin.
pub(crate) fn context(prompt: &Prompt, model: &str) -> Result<Vec<u8>, EngineError> {
    let mut input = wire::ContextInput { model: Some(model.to_owned()), ..wire::ContextInput::default() };
    match prompt {
        Prompt::Chat(conversation) => {
            input.messages = Some(conversation.messages.iter().map(message).collect());
            input.tools = tools(conversation)?;
            input.chat_template_kwargs = variables(conversation)?;
        }
        other => input.prompt = Some(self::input(other)),
    }
    Ok(json(&wire::ContextRequest { input }))
}

/// Texts to embed.
pub(crate) fn embedding(request: &EmbedRequest, texts: &[String], model: &str) -> Vec<u8> {
    let input = wire::EmbeddingInput {
        model: Some(model.to_owned()),
        input: wire::Input::Texts(texts.to_vec()),
        dimensions: request.dimensions.map(|dimensions| dimensions.len() as u64),
        encoding_format: Some(wire::EncodingFormat::Base64),
        user: None,
    };
    let is_untrained = matches!(request.dimensions, Some(Dimensions::Untrained(_)));
    let extensions = wire::EmbeddingExtensions {
        input_type: Some(match request.input {
            EmbedInput::Plain => wire::InputType::Plain,
            EmbedInput::Query => wire::InputType::Query,
            EmbedInput::Document => wire::InputType::Document,
        }),
        instruction: request.instruction.clone(),
        pooling: request.pooling.map(pooling),
        normalize: Some(request.normalization == Normalization::L2),
        untrained_dimensions: Some(is_untrained),
        truncate: Some(request.overlong == Overlong::Cut),
        priority: Some(request.priority.0),
    };
    json(&wire::EmbeddingRequest { input, extensions })
}

fn pooling(pooling: Pooling) -> wire::Pooling {
    match pooling {
        Pooling::Mean => wire::Pooling::Mean,
        Pooling::Last => wire::Pooling::Last,
        Pooling::First => wire::Pooling::First,
        Pooling::WeightedMean => wire::Pooling::WeightedMean,
    }
}

/// JSON has no numbers for infinities and NaN: they are refused here, as the engine would.
fn check_numbers(sampling: &Sampling) -> Result<(), EngineError> {
    let penalties = &sampling.penalties;
    let mut numbers = vec![
        ("temperature", sampling.temperature),
        ("penalties.repetition", penalties.repetition),
        ("penalties.frequency", penalties.frequency),
        ("penalties.presence", penalties.presence),
    ];
    let options = [
        ("top_p", sampling.top_p),
        ("min_p", sampling.min_p),
        ("typical_p", sampling.typical_p),
        ("top_n_sigma", sampling.top_n_sigma),
        ("dynamic_temperature.range", sampling.dynamic_temperature.map(|dynamic| dynamic.range)),
        ("dynamic_temperature.exponent", sampling.dynamic_temperature.map(|dynamic| dynamic.exponent)),
        ("xtc.probability", sampling.xtc.map(|xtc| xtc.probability)),
        ("xtc.threshold", sampling.xtc.map(|xtc| xtc.threshold)),
        ("mirostat.tau", sampling.mirostat.map(|mirostat| mirostat.tau)),
        ("mirostat.eta", sampling.mirostat.map(|mirostat| mirostat.eta)),
        ("penalties.dry.multiplier", penalties.dry.as_ref().map(|dry| dry.multiplier)),
        ("penalties.dry.base", penalties.dry.as_ref().map(|dry| dry.base)),
    ];
    numbers.extend(options.into_iter().filter_map(|(field, value)| Some((field, value?))));
    numbers.into_iter().try_for_each(|(field, value)| finite(field, value))
}

fn finite(field: &'static str, value: f32) -> Result<(), EngineError> {
    if value.is_finite() { Ok(()) } else { Err(invalid(field, format!("{value}, expected a finite number"))) }
}

fn invalid(field: &'static str, reason: String) -> EngineError {
    EngineError::InvalidRequest { field, reason }
}

fn sampling(sampling: &Sampling, rules: &TokenRules) -> Result<wire::SamplingOptions, EngineError> {
    let mut logit_bias = BTreeMap::new();
    for &(token, bias) in &rules.bias {
        finite("rules.bias", bias)?;
        if logit_bias.insert(token, bias).is_some() {
            return Err(invalid("rules.bias", format!("token {token} twice, which the wire does not carry")));
        }
    }
    let unless_zero = |value: f32| (value != 0.0).then_some(value);
    Ok(wire::SamplingOptions {
        temperature: Some(sampling.temperature),
        top_p: sampling.top_p,
        frequency_penalty: unless_zero(sampling.penalties.frequency),
        presence_penalty: unless_zero(sampling.penalties.presence),
        logit_bias: (!logit_bias.is_empty()).then_some(logit_bias),
    })
}

fn samplers(sampling: &Sampling) -> wire::SamplerExtensions {
    let penalties = &sampling.penalties;
    wire::SamplerExtensions {
        top_k: sampling.top_k.map(|k| k as u64),
        min_p: sampling.min_p,
        typical_p: sampling.typical_p,
        top_n_sigma: sampling.top_n_sigma,
        dynamic_temperature: sampling
            .dynamic_temperature
            .map(|dynamic| wire::DynamicTemperature { range: dynamic.range, exponent: dynamic.exponent }),
        repetition_penalty: (penalties.repetition != 1.0).then_some(penalties.repetition),
        penalty_last_n: penalties.last_n.map(|len| len as u64),
        dry: penalties.dry.as_ref().map(|dry| wire::Dry {
            multiplier: dry.multiplier,
            base: dry.base,
            allowed_len: dry.allowed_len as u64,
            last_n: dry.last_n.map(|len| len as u64),
            breakers: dry.breakers.clone(),
        }),
        xtc: sampling.xtc.map(|xtc| wire::Xtc { probability: xtc.probability, threshold: xtc.threshold }),
        mirostat: sampling.mirostat.map(|mirostat| wire::Mirostat {
            version: match mirostat.version {
                MirostatVersion::One => 1,
                MirostatVersion::Two => 2,
            },
            tau: mirostat.tau,
            eta: mirostat.eta,
        }),
        sampler_order: sampling.order.as_ref().map(|order| stages(order)),
    }
}

fn stages(order: &[Stage]) -> Vec<String> {
    order.iter().map(|stage| stage.name().to_owned()).collect()
}

fn work(request: &GenerateRequest, context: Option<wire::ContextField>) -> wire::WorkExtensions {
    let deadline = request.urgency.deadline;
    wire::WorkExtensions {
        context,
        keep: (request.keep == KeepContext::Yes).then_some(true),
        priority: (request.urgency.priority.0 != 0).then_some(request.urgency.priority.0),
        deadline_us: deadline.map(|deadline| u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX)),
        speculation: match request.speculation {
            Speculation::Auto => None,
            Speculation::Off => Some(wire::SpeculationField::Off),
            Speculation::Fixed(len) => Some(wire::SpeculationField::Fixed(len as u32)),
        },
        prompt_logprobs: request.logprobs.prompt.map(|num| num as u32),
        details: Some(true),
    }
}

fn rules(request: &GenerateRequest) -> wire::RuleExtensions {
    let rules = &request.rules;
    let unless_empty = |tokens: &Vec<u32>| (!tokens.is_empty()).then(|| tokens.clone());
    wire::RuleExtensions {
        grammar: request.grammar.as_ref().and_then(grammar).map(wire::GrammarField::Kind),
        ignore_eos: (request.end == EndOfText::Ignored).then_some(true),
        allowed_token_ids: rules.allowed.clone(),
        banned_token_ids: unless_empty(&rules.banned),
        stop_token_ids: unless_empty(&rules.stop),
        min_tokens: (rules.min_tokens > 0).then_some(rules.min_tokens as u64),
    }
}

/// The wire's form of a grammar; those that have none have been refused before.
fn grammar(grammar: &Grammar) -> Option<wire::Grammar> {
    Some(match grammar.clone() {
        Grammar::ToolCalls(_) => return None,
        Grammar::Gbnf(grammar) => wire::Grammar::Gbnf { grammar },
        Grammar::JsonSchema(schema) => wire::Grammar::JsonSchema { schema },
        Grammar::Regex(regex) => wire::Grammar::Regex { regex },
        Grammar::Lark(grammar) => wire::Grammar::Lark { grammar },
        Grammar::Choice(choices) => wire::Grammar::Choice { choices },
        Grammar::Citations(citations) => wire::Grammar::Citations {
            ids: citations.ids,
            required: match citations.required {
                RequiredCitations::None => wire::RequiredCitations::None,
                RequiredCitations::PerAnswer => wire::RequiredCitations::PerAnswer,
                RequiredCitations::PerSentence => wire::RequiredCitations::PerSentence,
            },
        },
    })
}

/// A prompt that is no conversation.
fn input(prompt: &Prompt) -> wire::Input {
    match prompt {
        Prompt::Text(text) => wire::Input::Text(text.clone()),
        Prompt::Tokens(tokens) => wire::Input::Tokens(tokens.clone()),
        Prompt::Chat(_) => wire::Input::default(),
    }
}

fn chat(
    conversation: &Conversation,
    request: &GenerateRequest,
    model: Option<String>,
) -> Result<wire::ChatInput, EngineError> {
    let tools = tools(conversation)?;
    Ok(wire::ChatInput {
        model,
        messages: conversation.messages.iter().map(message).collect(),
        // Tools are part of the prompt; calls come as the text that the model writes, as from any engine.
        tool_choice: tools.as_ref().map(|_| wire::ToolChoice::Mode(wire::ToolMode::None)),
        tools,
        chat_template_kwargs: variables(conversation)?,
        logprobs: request.logprobs.answer.map(|_| true),
        top_logprobs: request.logprobs.answer.map(|num| num as u32),
        ..wire::ChatInput::default()
    })
}

fn message(message: &Message) -> wire::ChatMessage {
    let calls = message.tool_calls.iter().map(|call| wire::ToolCall {
        id: call.id.clone(),
        kind: "function".to_owned(),
        function: wire::FunctionCall { name: call.name.clone(), arguments: call.arguments.clone() },
    });
    wire::ChatMessage {
        role: match message.role {
            Role::System => wire::Role::System,
            Role::User => wire::Role::User,
            Role::Assistant => wire::Role::Assistant,
            Role::Tool => wire::Role::Tool,
        },
        content: Some(wire::Content::Text(message.content.clone())),
        name: message.name.clone(),
        tool_calls: (!message.tool_calls.is_empty()).then(|| calls.collect()),
        tool_call_id: message.tool_call_id.clone(),
    }
}

fn tools(conversation: &Conversation) -> Result<Option<Vec<wire::Tool>>, EngineError> {
    let tools = conversation.tools.iter().map(|tool| {
        let parameters = tool.parameters.as_deref().map(|text| parsed(&tool.name, text)).transpose()?;
        let (name, description) = (tool.name.clone(), tool.description.clone());
        Ok(wire::Tool::Function { function: wire::Function { name, description, parameters, strict: None } })
    });
    let tools: Vec<wire::Tool> = tools.collect::<Result<_, EngineError>>()?;
    Ok((!tools.is_empty()).then_some(tools))
}

fn variables(conversation: &Conversation) -> Result<Option<Map<String, Value>>, EngineError> {
    let variables = conversation.variables.iter().map(|(name, text)| Ok((name.clone(), parsed(name, text)?)));
    let variables: Map<String, Value> = variables.collect::<Result<_, EngineError>>()?;
    Ok((!variables.is_empty()).then_some(variables))
}

/// A JSON value that is carried as text.
fn parsed(name: &str, text: &str) -> Result<Value, EngineError> {
    serde_json::from_str(text).map_err(|error| invalid("prompt", format!("{name} is no JSON: {error}")))
}

/// Requests have string keys and finite numbers alone.
fn json(request: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(request).expect("the wire's types can always be written")
}
