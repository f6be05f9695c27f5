//! What a server's error means to a caller: the error that an engine in this process would give, where that is known.

use llama_engine::EngineError;
use llama_openai as wire;
use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    RemoteError,
    reply::ErrorDetails,
    transport::{CallError, Refusal},
};

/// Most characters of a body that is no error of the API's, such as a proxy's page.
const EXCERPT_LEN: usize = 200;

impl From<CallError> for EngineError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed(error) => error.into(),
            CallError::Refused(refusal) => refused(&refusal),
        }
    }
}

impl Refusal {
    /// As a failure of the way there, for questions that are not an engine's.
    pub(crate) fn into_error(self) -> RemoteError {
        let (url, status) = (self.url.clone(), self.status.as_u16());
        match refused(&self) {
            EngineError::Connection(source) => match source.downcast() {
                Ok(error) => *error,
                Err(other) => RemoteError::Status { url, status, message: other.to_string() },
            },
            other => RemoteError::Status { url, status, message: other.to_string() },
        }
    }
}

fn refused(refusal: &Refusal) -> EngineError {
    let parsed = serde_json::from_slice::<Value>(&refusal.body).ok();
    let details = parsed.as_ref().map(details).unwrap_or_default();
    let mut message = details.message.clone();
    if message.is_empty() {
        message = String::from_utf8_lossy(&refusal.body).chars().take(EXCERPT_LEN).collect();
    }
    let url = refusal.url.clone();
    let status = refusal.status;
    if let Some(error) = details.details.as_ref().and_then(exact) {
        return error;
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RemoteError::Unauthorized { url, message }.into(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            RemoteError::Busy { url, message, retry_after: refusal.retry_after }.into()
        }
        StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED => {
            EngineError::Unsupported { what: message }
        }
        // A route that is not there answers without an error of the API's.
        StatusCode::NOT_FOUND if details.param.is_none() && details.code.is_none() => {
            EngineError::Unsupported { what: format!("a route that {url} does not have") }
        }
        _ if status.is_client_error() => invalid(&details, message),
        _ => RemoteError::Status { url, status: status.as_u16(), message }.into(),
    }
}

/// An error that comes in place of the next part of an answer.
pub(crate) fn in_stream(url: String, error: &Value) -> EngineError {
    let details = details(error);
    if let Some(error) = details.details.as_ref().and_then(exact) {
        return error;
    }
    let message = if details.message.is_empty() { error.to_string() } else { details.message };
    RemoteError::Status { url, status: StatusCode::OK.as_u16(), message }.into()
}

/// The details of an error, whether it stands alone or under `error`.
pub(crate) fn details(body: &Value) -> ErrorDetails {
    let error = body.get("error").unwrap_or(body);
    match error {
        Value::String(message) => ErrorDetails { message: message.clone(), ..ErrorDetails::default() },
        other => serde_json::from_value(other.clone()).unwrap_or_default(),
    }
}

/// The engine's own error, as our server tells it.
fn exact(details: &wire::ErrorDetails) -> Option<EngineError> {
    use wire::ErrorDetails as Wire;
    Some(match details.clone() {
        Wire::InvalidRequest { field, reason } => match self::field(&field) {
            Some(field) => EngineError::InvalidRequest { field, reason },
            None => EngineError::InvalidRequest { field: "request", reason: format!("{field}: {reason}") },
        },
        Wire::ContextTooLong { needed, context_len } => {
            EngineError::ContextTooLong { needed: needed as usize, context_len: context_len as usize }
        }
        Wire::DoesNotFit { needed_blocks, available_blocks, total_blocks } => EngineError::DoesNotFit {
            needed_blocks: needed_blocks as usize,
            available_blocks: available_blocks as usize,
            total_blocks: total_blocks as usize,
        },
        Wire::NoCandidate => EngineError::NoCandidate,
        Wire::InvalidGrammar { reason, at } => EngineError::InvalidGrammar {
            reason,
            at: at.map(|[line, column]| (line as usize, column as usize)),
        },
        Wire::GrammarDeadEnd => EngineError::GrammarDeadEnd("at the server".into()),
        Wire::Overloaded { limit } => EngineError::Overloaded { limit: limit as usize },
        Wire::UnknownContext => EngineError::ForeignContext,
        Wire::Unsupported { what } => EngineError::Unsupported { what },
    })
}

fn invalid(details: &ErrorDetails, reason: String) -> EngineError {
    if let (Some(needed), Some(context_len)) = (details.n_prompt_tokens, details.n_ctx) {
        return EngineError::ContextTooLong { needed: needed + 1, context_len };
    }
    let param = details.param.as_deref().unwrap_or_default();
    match field(param) {
        Some(field) => EngineError::InvalidRequest { field, reason },
        None if param.is_empty() => EngineError::InvalidRequest { field: "request", reason },
        None => EngineError::InvalidRequest { field: "request", reason: format!("{param}: {reason}") },
    }
}

/// The engine's name of a field of a request, from the engine's or the standard's.
pub(crate) fn field(name: &str) -> Option<&'static str> {
    let standard = STANDARD.iter().find(|(standard, _)| *standard == name).map(|(_, field)| *field);
    standard.or_else(|| FIELDS.iter().copied().find(|field| *field == name))
}

/// The standard's names that are not the engine's.
const STANDARD: &[(&str, &str)] = &[
    ("messages", "prompt"),
    ("input", "texts"),
    ("max_completion_tokens", "max_tokens"),
    ("n", "num_samples"),
    ("frequency_penalty", "penalties.frequency"),
    ("presence_penalty", "penalties.presence"),
    ("logit_bias", "rules.bias"),
    ("response_format", "grammar"),
    ("top_logprobs", "logprobs"),
];

/// Fields that engines refuse by name.
const FIELDS: &[&str] = &[
    "prompt",
    "context",
    "max_tokens",
    "stop",
    "model",
    "logprobs",
    "grammar",
    "order",
    "seed",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "top_n_sigma",
    "dynamic_temperature.range",
    "dynamic_temperature.exponent",
    "xtc.probability",
    "xtc.threshold",
    "mirostat",
    "mirostat.tau",
    "mirostat.eta",
    "penalties.repetition",
    "penalties.frequency",
    "penalties.presence",
    "penalties.last_n",
    "penalties.dry.multiplier",
    "penalties.dry.base",
    "penalties.dry.allowed_len",
    "penalties.dry.last_n",
    "penalties.dry.breakers",
    "rules.bias",
    "rules.allowed",
    "rules.banned",
    "rules.stop",
    "rules.min_tokens",
    "speculation",
    "num_samples",
    "texts",
    "dimensions",
    "pooling",
    "instruction",
    "rewind",
    "tokens",
];
