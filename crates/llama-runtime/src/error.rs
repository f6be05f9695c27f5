//! What can go wrong while an engine is loaded and around its files. Once it runs, errors are [`EngineError`]s.

use std::path::PathBuf;

use llama_backend::BackendError;
use llama_engine::EngineError;
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
    /// A file beside the weights is not valid JSON. Download it again.
    #[error("{path}: not valid JSON")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The model makes vectors in a way that is not computed here. Use another model, or take the files of
    /// sentence-transformers away if other vectors will do.
    #[error("{path}: {field} is {found:?}; supported: {supported}")]
    Sentence {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What it asks for.
        found: String,
        /// What would do.
        supported: &'static str,
    },
    /// A draft model has other tokens than the model that it shall draft for. Use one of the same family.
    #[error("{path}: cannot draft for this model: {reason}")]
    Vocabulary {
        /// The draft model's checkpoint.
        path: PathBuf,
        /// The first difference.
        reason: String,
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

/// Errors of [`crate::CandleEngine::save_context`] and [`crate::CandleEngine::restore_context`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The operating system refused. Check the path, its permissions and the free space.
    #[error("{path}: cannot be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no session, or not the one that was written. Save it again.
    #[error("{path}: not a whole session: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The session was written in another format. Save it again with this version.
    #[error("{path}: a session of format {found:?}, expected {expected:?}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
        /// The format of this version.
        expected: &'static str,
    },
    /// The session belongs to another model, or was computed in another way. Load that model with those options.
    #[error("{path}: a session of another model: {found:?}, expected {expected:?}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Fingerprint in the file.
        found: String,
        /// This engine's fingerprint.
        expected: String,
    },
    /// The engine refused, or has stopped.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
