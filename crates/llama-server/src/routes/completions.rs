//! `/v1/completions`.

use axum::{Extension, extract::State, response::Response};
use llama_engine::LlamaEngine;
use llama_openai::{
    CompletionChoice, CompletionInput, CompletionLogprobs, CompletionRequest, CompletionResponse, IdLogprob,
    Usage,
};

use crate::{
    answer::{self, Answer, Format, Generation, Head, Reporting, TokenReport},
    auth::Client,
    body::Json,
    convert,
    error::ApiError,
    metrics::RequestSpan,
    state::App,
};

pub(crate) async fn create<E: LlamaEngine + 'static>(
    State(app): State<App<E>>,
    Extension(client): Extension<Client>,
    Extension(span): Extension<RequestSpan>,
    Json(request): Json<CompletionRequest>,
) -> Result<Response, ApiError> {
    let CompletionRequest { input, options, sampling, extensions, remarks: _ } = request;
    check_supported(&input, options.n)?;
    convert::check_alternatives("logprobs", input.logprobs)?;
    let reporting = Reporting::new(&options, &extensions, input.logprobs.is_some());
    let prompts = convert::prompts(input.prompt)?;
    let num_samples = options.n.unwrap_or(1) as usize;
    convert::check_answers("n", prompts.len().saturating_mul(num_samples), app.config.limits.max_answers)?;
    let mut request = convert::generate_request(&app, client, (options, sampling, extensions))?;
    request.logprobs.answer = input.logprobs.map(|num| num as usize);
    let generation = Generation::start(&app, (client, span), (request, prompts, num_samples)).await?;
    answer::respond(generation, reporting, Completions).await
}

fn check_supported(input: &CompletionInput, n: Option<u32>) -> Result<(), ApiError> {
    if input.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty()) {
        return Err(ApiError::unsupported("suffix", "the model looks back only"));
    }
    if input.best_of.is_some_and(|best_of| best_of > n.unwrap_or(1)) {
        return Err(ApiError::unsupported("best_of", "more than `n` answers"));
    }
    if input.echo == Some(true) {
        return Err(ApiError::unsupported("echo", "`prompt_logprobs` reports on the prompt"));
    }
    Ok(())
}

struct Completions;

impl Format for Completions {
    type Whole = CompletionResponse;
    type Piece = CompletionResponse;
    const PREFIX: &'static str = "cmpl-";

    fn whole(&self, head: Head, answers: Vec<Answer>, usage: Usage) -> CompletionResponse {
        let choices = answers.into_iter().map(choice).collect();
        response(head, choices, Some(usage))
    }

    fn piece(&self, head: Head, answer: Answer, _: bool) -> CompletionResponse {
        response(head, vec![choice(answer)], None)
    }

    fn last(&self, head: Head, usage: Usage) -> CompletionResponse {
        response(head, Vec::new(), Some(usage))
    }
}

fn response(head: Head, choices: Vec<CompletionChoice>, usage: Option<Usage>) -> CompletionResponse {
    let Head { id, created, model } = head;
    CompletionResponse { id, object: "text_completion".to_owned(), created, model, choices, usage }
}

fn choice(answer: Answer) -> CompletionChoice {
    let logprobs = answer.reports.map(|reports| logprobs(reports, answer.characters_before));
    CompletionChoice {
        index: answer.index as u32,
        text: answer.text,
        logprobs,
        finish_reason: answer.finish_reason,
        details: answer.details,
    }
}

fn logprobs(reports: Vec<TokenReport>, mut offset: u64) -> CompletionLogprobs {
    let mut lists = CompletionLogprobs { by_id: Some(Vec::new()), ..CompletionLogprobs::default() };
    for report in reports {
        let by_id = report.all().map(|token| IdLogprob { id: token.id, logprob: token.logprob }).collect();
        lists.by_id.get_or_insert_default().push(by_id);
        let top = report.alternatives.iter().map(|token| (token.text.clone(), token.logprob)).collect();
        lists.text_offset.push(offset);
        offset += report.token.text.chars().count() as u64;
        lists.token_logprobs.push(Some(report.token.logprob));
        lists.tokens.push(report.token.text);
        lists.top_logprobs.push(Some(top));
    }
    lists
}
