//! What can go wrong on the way. What an engine refuses or fails at are [`EngineError`]s, here as anywhere else.

use std::{error::Error, time::Duration};

use llama_engine::EngineError;

/// Errors of [`crate::RemoteEngineBuilder::connect`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No endpoint was given. Give at least one.
    #[error("no endpoint to connect to")]
    NoEndpoint,
    /// An endpoint is no URL with `http` or `https` and a host. Correct it.
    #[error("{url:?} is no address of a server: {reason}")]
    InvalidUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The API key has characters that no HTTP header carries. Correct it.
    #[error("the API key cannot be sent in a header")]
    InvalidApiKey,
    /// What was given as an authority is no certificate in PEM. Give one.
    #[error("the authority's certificate cannot be read: {reason}")]
    InvalidAuthority {
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] Box<dyn Error + Send + Sync>),
    /// No tokio runtime runs here. Call it from inside of one.
    #[error("a remote engine needs a tokio runtime, and there is none here")]
    NoRuntime,
    /// No endpoint answered. The source is what the last one failed with.
    #[error("none of the {num_endpoints} endpoints answers")]
    Unreachable {
        /// How many were asked.
        num_endpoints: usize,
        /// Why the last one did not answer.
        source: RemoteError,
    },
    /// The server does not have the model. Ask for one that it has.
    #[error("{url} has no model {model:?}, only {available:?}")]
    UnknownModel {
        /// The endpoint.
        url: String,
        /// The model asked for.
        model: String,
        /// The models there are.
        available: Vec<String>,
    },
    /// Two endpoints serve different models under one name. An engine is one model: leave one of them out.
    #[error("{url} differs from the endpoints before it: {found}, expected {expected}")]
    EndpointsDiffer {
        /// The endpoint that differs.
        url: String,
        /// What it says of its model.
        found: String,
        /// What the others say.
        expected: String,
    },
    /// The server does not say this of its model, and the standard has no place for it. Say it with
    /// [`crate::RemoteEngineBuilder::info`].
    #[error("the server does not say the model's {field}")]
    MissingInfo {
        /// The field of [`llama_engine::EngineInfo`].
        field: &'static str,
    },
}

/// Why a request did not come through. It is the source of an [`EngineError::Connection`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// Nobody listens there, or the name, the certificate or the handshake fails. The request was not sent.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// The endpoint.
        url: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It took too long. Allow more time with [`crate::Timeouts`], or see what the server does.
    #[error("{url}: no {waited_for} within {} s", limit.as_secs_f64())]
    TimedOut {
        /// The endpoint.
        url: String,
        /// What did not come.
        waited_for: WaitedFor,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The connection broke before the answer was whole. What has arrived of it is the beginning of the answer.
    #[error("{url}: the connection broke off")]
    Broken {
        /// The endpoint.
        url: String,
        /// Why, where that is known.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The server is too busy, and stayed so through all attempts. Retry later.
    #[error("{url} is busy: {message}")]
    Busy {
        /// The endpoint.
        url: String,
        /// What the server says.
        message: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The server does not accept the API key, or that it is used for this. Check it.
    #[error("{url} refuses the API key: {message}")]
    Unauthorized {
        /// The endpoint.
        url: String,
        /// What the server says.
        message: String,
    },
    /// The server failed, or refused for a reason that is none of ours.
    #[error("{url} answers {status}: {message}")]
    Status {
        /// The endpoint.
        url: String,
        /// The HTTP status; that of the head, if the error came in the middle of an answer.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// The answer is not what the API promises. Is this the right address, and the right [`crate::Dialect`]?
    #[error("{url}: {reason}")]
    Protocol {
        /// The endpoint.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

/// What a time limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitedFor {
    /// The head of the answer.
    FirstByte,
    /// The next part of the answer.
    NextByte,
    /// The end of the answer.
    End,
}

impl std::fmt::Display for WaitedFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::FirstByte => "answer",
            Self::NextByte => "further part of the answer",
            Self::End => "end of the answer",
        })
    }
}

impl From<RemoteError> for EngineError {
    fn from(error: RemoteError) -> Self {
        Self::Connection(Box::new(error))
    }
}
