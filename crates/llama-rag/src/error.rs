//! What can go wrong between a folder of texts and a cited answer.

use std::{io, path::PathBuf};

use llama_engine::EngineError;
use llama_tokenizer::TokenizerError;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RagError {
    /// The engine refused or failed. Its own error says what to do.
    #[error("the engine")]
    Engine(#[from] EngineError),
    /// The tokenizer that measures chunks failed.
    #[error("the tokenizer")]
    Tokenizer(#[from] TokenizerError),
    /// The engine's tokenizer does not answer at once, as one across a network. Give the splitter a tokenizer of its own, see
    /// [`crate::TokenCounter`].
    #[error("this engine cannot count tokens at once: give a tokenizer to count with")]
    NoTokenCounter,
    /// A setting has a value that makes no sense. Correct it.
    #[error("{field}: {reason}")]
    InvalidSetting {
        /// The setting.
        field: &'static str,
        /// What is wrong, with the value and the range.
        reason: String,
    },
    /// There is nothing to look for: the question has no text. Ask something.
    #[error("the question is empty")]
    EmptyQuestion,
    /// The engine gave a vector that cannot be compared: of another length than it promised, or with components that are no finite
    /// numbers. Use another model.
    #[error("a vector of {len} components, expected {expected} finite ones")]
    UnusableVector {
        /// Components that it has.
        len: usize,
        /// Components that it should have.
        expected: usize,
    },
    /// The folder cannot be read. Correct the path or its permissions.
    #[error("cannot read {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Two documents of one call have the same source. Give each its own.
    #[error("two documents are called {doc:?}")]
    DuplicateSource {
        /// The name.
        doc: String,
    },
    /// The store was filled with another model or other settings, so its vectors cannot be compared with new ones. Open it with what
    /// it was made with, or index again into a new file.
    #[error("{} was made with {field} {stored}, not {wanted}: open it with that, or index into a new file", path.display())]
    SettingsMismatch {
        /// The store.
        path: PathBuf,
        /// The first setting that differs.
        field: &'static str,
        /// What the store was made with.
        stored: String,
        /// What was asked for.
        wanted: String,
    },
    /// Another process has the store open. Wait for it, or use another file.
    #[error("{} is in use by another process", path.display())]
    StoreInUse {
        /// The store.
        path: PathBuf,
    },
    /// The file is no store, or damaged. Delete it and index again.
    #[error("{} is no store, or damaged: {what}", path.display())]
    StoreDamaged {
        /// The store.
        path: PathBuf,
        /// What was found, and where if that is known.
        what: String,
    },
    /// The store cannot be read or written. Free space, or correct the path or its permissions.
    #[error("cannot use the store {}", path.display())]
    Store {
        /// The store.
        path: PathBuf,
        /// What the database said.
        source: Box<redb::Error>,
    },
    /// The store has given out all its chunk ids. Index into a new file.
    #[error("the store has given out all chunk ids")]
    StoreFull,
    /// The library of the approximate index failed. Scan instead; a collection does so by itself.
    #[cfg(feature = "approximate")]
    #[error("the graph of vectors")]
    Graph(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// For short signatures.
pub(crate) type Result<T, E = RagError> = std::result::Result<T, E>;

pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> RagError {
    RagError::InvalidSetting { field, reason: reason.into() }
}
