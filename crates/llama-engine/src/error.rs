//! What can go wrong for a caller, whatever engine is behind.

use std::error::Error;

/// Errors of every engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A field of the request has a value that makes no sense. Correct it.
    #[error("{field}: {reason}")]
    InvalidRequest {
        /// The field.
        field: &'static str,
        /// What is wrong, with the value and the range.
        reason: String,
    },
    /// Prompt and answer exceed the model's context. Shorten one of them.
    #[error("{needed} tokens do not fit into the context of {context_len}")]
    ContextTooLong {
        /// Tokens of the prompt and the answer asked for.
        needed: usize,
        /// The model's context length.
        context_len: usize,
    },
    /// The cache is too small for this request, even alone or beside what is pinned. Drop pins, or configure more blocks.
    #[error("{needed_blocks} cache blocks are needed, {available_blocks} can ever be free of {total_blocks}")]
    DoesNotFit {
        /// Blocks that the request takes.
        needed_blocks: usize,
        /// Blocks that are not pinned.
        available_blocks: usize,
        /// Blocks of the cache.
        total_blocks: usize,
    },
    /// Every token has been ruled out: token rules, a grammar or processors leave nothing to say. Loosen one of them.
    #[error("no token is left to choose from")]
    NoCandidate,
    /// The request's grammar is wrong, or asks for something that cannot be guaranteed. Correct it where it says.
    #[error("grammar: {reason}")]
    InvalidGrammar {
        /// What is wrong, and where if that is known.
        reason: String,
        /// Line and column of the grammar's source, both from one, if the error is at one place.
        at: Option<(usize, usize)>,
    },
    /// The grammar allows no token where the answer stands, or finding one exceeds a limit. What was said is the beginning of a text of
    /// the grammar's.
    #[error("no token continues the answer under its grammar")]
    GrammarDeadEnd(#[source] Box<dyn Error + Send + Sync>),
    /// The queue is full. Retry later.
    #[error("overloaded: {limit} requests are waiting")]
    Overloaded {
        /// Length of the queue.
        limit: usize,
    },
    /// The handle belongs to another engine, or its engine is gone.
    #[error("the pinned context does not belong to this engine")]
    ForeignContext,
    /// This engine, or this model, cannot do what was asked.
    #[error("not supported: {what}")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// The text could not be turned into tokens or back.
    #[error("tokenizer")]
    Tokenizer(#[source] Box<dyn Error + Send + Sync>),
    /// The model failed while computing. The engine goes on serving others.
    #[error("the model failed")]
    Model(#[source] Box<dyn Error + Send + Sync>),
    /// The engine is elsewhere, and the way there failed: no connection, a time-out, an answer that broke off. What has arrived of an
    /// answer is its beginning; whether to ask again is for the caller to say.
    #[error("the engine cannot be reached, or its answer did not come through")]
    Connection(#[source] Box<dyn Error + Send + Sync>),
    /// The engine has stopped: it was shut down, or its worker died.
    #[error("the engine has stopped")]
    Stopped,
}
