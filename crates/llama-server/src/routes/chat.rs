//! `/v1/chat/completions`.

use axum::{Extension, extract::State, response::Response};
use llama_engine::{LlamaEngine, Prompt};
use llama_openai::{
    AnswerDelta, AnswerMessage, ChatChoice, ChatChunk, ChatDelta, ChatRequest, ChatResponse, FinishReason,
    FunctionCall, FunctionDelta, Logprobs, Role, TokenLogprob, ToolCall, ToolCallDelta, TopLogprob, Usage,
};

use crate::{
    answer::{self, Answer, CallPiece, Format, Generation, Head, Reporting, TokenReport, TokenText},
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
    Json(request): Json<ChatRequest>,
) -> Result<Response, ApiError> {
    let ChatRequest { mut input, mut options, sampling, extensions, remarks: _ } = request;
    let with_logprobs = input.logprobs == Some(true);
    if input.top_logprobs.is_some() && !with_logprobs {
        return Err(ApiError::invalid("top_logprobs", "given without `logprobs`"));
    }
    convert::check_alternatives("top_logprobs", input.top_logprobs)?;
    options.max_tokens = input.max_completion_tokens.or(options.max_tokens);
    let reporting = Reporting::new(&options, &extensions, with_logprobs);
    let num_samples = options.n.unwrap_or(1) as usize;
    convert::check_answers("n", num_samples, app.config.limits.max_answers)?;
    let mut request = convert::generate_request(&app, client, (options, sampling, extensions))?;
    request.logprobs.answer = with_logprobs.then_some(input.top_logprobs.unwrap_or(0) as usize);
    convert::constrain(&mut request, &mut input)?;
    let conversation = convert::conversation(input.messages, input.tools, input.chat_template_kwargs)?;
    let prompts = vec![Prompt::Chat(conversation)];
    let generation = Generation::start(&app, (client, span), (request, prompts, num_samples)).await?;
    answer::respond(generation, reporting, Chat).await
}

struct Chat;

impl Format for Chat {
    type Whole = ChatResponse;
    type Piece = ChatChunk;
    const PREFIX: &'static str = "chatcmpl-";

    fn whole(&self, head: Head, answers: Vec<Answer>, usage: Usage) -> ChatResponse {
        let Head { id, created, model } = head;
        let choices = answers.into_iter().map(choice).collect();
        ChatResponse { id, object: "chat.completion".to_owned(), created, model, choices, usage }
    }

    fn piece(&self, head: Head, answer: Answer, is_first: bool) -> ChatChunk {
        let has_content = !answer.text.is_empty() || (is_first && answer.calls.is_empty());
        let delta = AnswerDelta {
            role: is_first.then_some(Role::Assistant),
            content: has_content.then_some(answer.text),
            tool_calls: (!answer.calls.is_empty())
                .then(|| answer.calls.into_iter().map(call_delta).collect()),
        };
        let delta = ChatDelta {
            index: answer.index as u32,
            delta,
            logprobs: answer.reports.map(logprobs),
            finish_reason: answer.finish_reason,
            details: answer.details,
        };
        chunk(head, vec![delta], None)
    }

    fn last(&self, head: Head, usage: Usage) -> ChatChunk {
        chunk(head, Vec::new(), Some(usage))
    }
}

fn chunk(head: Head, choices: Vec<ChatDelta>, usage: Option<Usage>) -> ChatChunk {
    let Head { id, created, model } = head;
    ChatChunk { id, object: "chat.completion.chunk".to_owned(), created, model, choices, usage }
}

fn choice(answer: Answer) -> ChatChoice {
    let has_calls = !answer.calls.is_empty();
    let content = (!has_calls || !answer.text.is_empty()).then_some(answer.text);
    let tool_calls = has_calls.then(|| answer.calls.into_iter().filter_map(call).collect());
    ChatChoice {
        index: answer.index as u32,
        message: AnswerMessage { role: Role::Assistant, content, tool_calls },
        logprobs: answer.reports.map(logprobs),
        finish_reason: answer.finish_reason.unwrap_or(FinishReason::Stop),
        details: answer.details,
    }
}

fn call(call: CallPiece) -> Option<ToolCall> {
    let (id, name) = call.start?;
    Some(ToolCall {
        id,
        kind: "function".to_owned(),
        function: FunctionCall { name, arguments: call.arguments },
    })
}

fn call_delta(call: CallPiece) -> ToolCallDelta {
    let (id, name) = call.start.unzip();
    let kind = id.is_some().then(|| "function".to_owned());
    let function = FunctionDelta { name, arguments: Some(call.arguments) };
    ToolCallDelta { index: call.index as u32, id, kind, function: Some(function) }
}

fn logprobs(reports: Vec<TokenReport>) -> Logprobs {
    let content = reports.into_iter().map(|TokenReport { token, alternatives }| TokenLogprob {
        bytes: token.bytes(),
        token: token.text,
        id: Some(token.id),
        logprob: token.logprob,
        top_logprobs: alternatives.into_iter().map(top).collect(),
    });
    Logprobs { content: content.collect() }
}

fn top(token: TokenText) -> TopLogprob {
    TopLogprob { bytes: token.bytes(), token: token.text, id: Some(token.id), logprob: token.logprob }
}
