//! What can go wrong while an engine is loaded. Once it runs, errors are [`llama_engine::EngineError`]s.

use std::path::PathBuf;

use llama_backend::BackendError;
use llama_kv::KvError;
use llama_models::ModelError;
use llama_tokenizer::TokenizerError;

/// Errors of [`crate::CandleEngine::load`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// An option is zero or contradicts the model. Change it.
    #[error("option {option}: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// The device cannot be opened.
    #[error(transparent)]
    Device(#[from] BackendError),
    /// The checkpoint is damaged, incomplete or of a kind that is not supported.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tokenizer is damaged or of a kind that is not supported.
    #[error("{path}: the tokenizer cannot be used")]
    Tokenizer {
        /// The checkpoint.
        path: PathBuf,
        /// Why.
        source: TokenizerError,
    },
    /// A file beside the weights cannot be read.
    #[error("{path}: cannot be read")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The cache cannot be allocated. Ask for fewer `cache_tokens`.
    #[error(transparent)]
    Cache(#[from] KvError),
    /// The operating system gave no thread.
    #[error("the worker thread could not be started")]
    Thread(#[source] std::io::Error),
    /// The worker ended while loading, which is a fault of ours.
    #[error("the worker stopped while loading")]
    Stopped,
}
