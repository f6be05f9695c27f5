//! Errors, in OpenAI's form.

use serde::{Deserialize, Serialize};

/// The body of every answer that is no success.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ErrorResponse {
    /// What went wrong.
    pub error: ErrorObject,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ErrorObject {
    /// For people.
    pub message: String,
    /// Its kind: `invalid_request_error`, `authentication_error`, `rate_limit_error`, `server_error`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The field at fault.
    #[serde(default)]
    pub param: Option<String>,
    /// For programs.
    #[serde(default)]
    pub code: Option<ErrorCode>,
    /// An extension: its numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<ErrorDetails>,
}

/// For programs; some servers send the status here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ErrorCode {
    /// A word.
    Word(String),
    /// A status.
    Status(u16),
}

/// The numbers of an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ErrorDetails {
    /// A field's value makes no sense.
    InvalidRequest {
        /// The engine's name of the field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Prompt and answer exceed the context.
    ContextTooLong {
        /// Tokens asked for.
        needed: u64,
        /// The model's limit.
        context_len: u64,
    },
    /// The cache is too small.
    DoesNotFit {
        /// Blocks that the request takes.
        needed_blocks: u64,
        /// Blocks that are not pinned.
        available_blocks: u64,
        /// Blocks of the cache.
        total_blocks: u64,
    },
    /// Every token has been ruled out.
    NoCandidate,
    /// The grammar is wrong.
    InvalidGrammar {
        /// What is wrong with it.
        reason: String,
        /// Line and column, from one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<[u64; 2]>,
    },
    /// The grammar leaves nothing to say.
    GrammarDeadEnd,
    /// Too many wait.
    Overloaded {
        /// How many may.
        limit: u64,
    },
    /// There is no such context, or no longer.
    UnknownContext,
    /// This engine or model cannot do it.
    Unsupported {
        /// What was asked for.
        what: String,
    },
}
