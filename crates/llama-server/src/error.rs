//! Errors as clients see them: OpenAI's form, the right status, and nothing from inside.

use std::any::Any;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use llama_engine::EngineError;
use llama_openai::{ErrorCode, ErrorDetails, ErrorObject, ErrorResponse};

const INVALID: &str = "invalid_request_error";

/// What becomes of a request that fails.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    /// Boxed, since everything returns it.
    body: Box<ErrorObject>,
    /// Seconds after which to try again.
    retry_after: Option<u32>,
}

impl ApiError {
    /// An error with a status, its kind, a code for programs and a text for people.
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let kind = match status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => INVALID,
        };
        let body = ErrorObject {
            message: message.into(),
            kind: kind.to_owned(),
            param: None,
            code: Some(ErrorCode::Word(code.to_owned())),
            details: None,
        };
        Self { status, body: Box::new(body), retry_after: None }
    }

    /// A field whose value makes no sense.
    pub(crate) fn invalid(field: &str, reason: impl AsRef<str>) -> Self {
        let message = format!("{field}: {}", reason.as_ref());
        Self::new(StatusCode::BAD_REQUEST, "invalid_value", message).with_param(field)
    }

    /// Something that this server does not do.
    pub(crate) fn unsupported(field: &str, reason: impl AsRef<str>) -> Self {
        let message = format!("{field}: not supported: {}", reason.as_ref());
        Self::new(StatusCode::BAD_REQUEST, "unsupported", message).with_param(field)
    }

    /// Too many wait.
    pub(crate) fn overloaded(limit: usize) -> Self {
        let message = format!("{limit} requests are waiting already; try again later");
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message)
            .with_details(ErrorDetails::Overloaded { limit: limit as u64 });
        error.retry_after = Some(1);
        error
    }

    /// The server's limit of time has passed.
    pub(crate) fn out_of_time() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "out_of_time",
            "the request took longer than this server allows",
        )
    }

    /// A context that is not there, or not this client's.
    pub(crate) fn unknown_context(status: StatusCode) -> Self {
        Self::new(status, "unknown_context", "there is no such context, or no longer")
            .with_param("context")
            .with_details(ErrorDetails::UnknownContext)
    }

    /// A failure of ours.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed to answer")
    }

    pub(crate) fn with_param(mut self, field: &str) -> Self {
        self.body.param = Some(field.to_owned());
        self
    }

    fn with_details(mut self, details: ErrorDetails) -> Self {
        self.body.details = Some(details);
        self
    }

    /// What it is called, for programs.
    pub(crate) fn word(&self) -> &str {
        match &self.body.code {
            Some(ErrorCode::Word(word)) => word,
            _ => self.status.as_str(),
        }
    }

    /// Its body.
    pub(crate) fn into_body(self) -> ErrorResponse {
        ErrorResponse { error: *self.body }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let bad = |code: &str| Self::new(StatusCode::BAD_REQUEST, code, error.to_string());
        match &error {
            EngineError::InvalidRequest { field, reason } => {
                let details =
                    ErrorDetails::InvalidRequest { field: (*field).to_owned(), reason: reason.clone() };
                bad("invalid_value").with_param(wire_name(field)).with_details(details)
            }
            EngineError::ContextTooLong { needed, context_len } => {
                let (needed, context_len) = (*needed as u64, *context_len as u64);
                bad("context_length_exceeded")
                    .with_details(ErrorDetails::ContextTooLong { needed, context_len })
            }
            EngineError::DoesNotFit { needed_blocks, available_blocks, total_blocks } => bad("does_not_fit")
                .with_details(ErrorDetails::DoesNotFit {
                    needed_blocks: *needed_blocks as u64,
                    available_blocks: *available_blocks as u64,
                    total_blocks: *total_blocks as u64,
                }),
            EngineError::NoCandidate => bad("no_candidate").with_details(ErrorDetails::NoCandidate),
            EngineError::InvalidGrammar { reason, at } => {
                let at = at.map(|(line, column)| [line as u64, column as u64]);
                let details = ErrorDetails::InvalidGrammar { reason: reason.clone(), at };
                bad("invalid_grammar").with_param("grammar").with_details(details)
            }
            EngineError::GrammarDeadEnd(_) => {
                bad("grammar_dead_end").with_details(ErrorDetails::GrammarDeadEnd)
            }
            EngineError::Overloaded { limit } => Self::overloaded(*limit),
            EngineError::ForeignContext => Self::unknown_context(StatusCode::NOT_FOUND),
            EngineError::Unsupported { what } => {
                bad("unsupported").with_details(ErrorDetails::Unsupported { what: what.clone() })
            }
            EngineError::Tokenizer(source) => {
                tracing::debug!(%source, "a text could not be turned into tokens or back");
                let message = "the text could not be turned into tokens or back, or the model's chat template refuses the conversation";
                Self::new(StatusCode::BAD_REQUEST, "tokenizer", message)
            }
            EngineError::Stopped => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", "the engine has stopped")
            }
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "the engine failed");
                Self::internal()
            }
        }
    }
}

/// What an error is called, beside the answer that says it.
#[derive(Clone)]
pub(crate) struct ErrorWord(pub(crate) String);

/// The name that the request has for a field of the engine.
fn wire_name(field: &str) -> &str {
    match field {
        "penalties.frequency" => "frequency_penalty",
        "penalties.presence" => "presence_penalty",
        "penalties.repetition" => "repetition_penalty",
        "penalties.last_n" => "penalty_last_n",
        "num_samples" => "n",
        "texts" => "input",
        "order" => "sampler_order",
        other => other.strip_prefix("penalties.").unwrap_or(other),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let word = ErrorWord(self.word().to_owned());
        let mut response = (status, Json(self.into_body())).into_response();
        response.extensions_mut().insert(word);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What a client gets of a panic: that there was one.
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked");
    ApiError::internal().into_response()
}
