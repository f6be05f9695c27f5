//! Sessions: a pinned context written to a file, and read back by a later engine of the same model.

mod file;
mod snapshot;

use std::{
    path::{Path, PathBuf},
    thread,
};

use futures_channel::oneshot;
use llama_engine::{EngineError, PinnedContext};

use crate::{CandleEngine, SessionError, engine::encoder_cannot, load::Identity, worker::Command};

pub(crate) use snapshot::{Shape, Snapshot};

impl CandleEngine {
    /// Writes a context, up to the handle's length, with its keys and values: tens of kilobytes per token. The file
    /// appears whole or not at all, and replaces one of the same name. The first call reads the whole checkpoint once,
    /// for its [fingerprint](llama_models::Checkpoint::fingerprint).
    ///
    /// The file is a safetensors file, so that other programs can look at it: `tokens` (`[n]`, u32), and per layer
    /// `layers.{i}.keys` and `layers.{i}.values` (`[s, g, d]`, of the first s tokens), with version, fingerprint and a
    /// SHA-256 checksum as metadata.
    ///
    /// # Errors
    /// [`SessionError::Engine`] for a context of another engine, [`SessionError::Io`] if the file cannot be written.
    pub async fn save_context(
        &self,
        context: &PinnedContext,
        path: impl Into<PathBuf>,
    ) -> Result<(), SessionError> {
        let path = path.into();
        let (id, len) = (context.id_in(self.inner.loaded.engine)?, context.len());
        let snapshot = self.ask(|reply| Command::Export { id, len, reply }).await?;
        let engine = self.clone();
        on_thread(move || file::write(&path, &snapshot, &fingerprint(engine.identity()?))).await
    }

    /// Reads a saved context and pins it: nothing is computed, and what the cache already holds is shared.
    ///
    /// # Errors
    /// [`SessionError::Damaged`] for a file that is not whole, [`SessionError::Foreign`] for one of another model or
    /// of other options that change its keys and values, [`SessionError::Version`] for one of another format;
    /// [`SessionError::Engine`] with [`EngineError::DoesNotFit`] if the cache has no room beside other pins.
    pub async fn restore_context(&self, path: impl Into<PathBuf>) -> Result<PinnedContext, SessionError> {
        let (path, engine) = (path.into(), self.clone());
        let read = move || {
            let identity = engine.identity()?;
            file::read(&path, &fingerprint(identity), identity.shape)
        };
        let snapshot = on_thread(read).await?;
        Ok(self.ask(|reply| Command::Import { snapshot, reply }).await?)
    }

    /// What a session must match.
    fn identity(&self) -> Result<&Identity, EngineError> {
        self.inner.loaded.identity.as_ref().ok_or_else(|| encoder_cannot("keep contexts"))
    }
}

/// The checkpoint, and how it is computed.
fn fingerprint(identity: &Identity) -> String {
    let model = identity.fingerprint.get_or_init(|| identity.checkpoint.fingerprint());
    format!("{model} {}", identity.arithmetic)
}

/// Runs what blocks on a thread of its own.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SessionError> + Send + 'static,
) -> Result<T, SessionError> {
    let (reply, answer) = oneshot::channel();
    let work = move || {
        // If nobody waits any more, the work is done all the same, and whole.
        let _ = reply.send(work());
    };
    let thread = thread::Builder::new().name("llama-session".to_owned()).spawn(work);
    let failed = |source| SessionError::Io { path: Path::new("a thread").to_owned(), source };
    thread.map_err(failed)?;
    answer.await.unwrap_or(Err(SessionError::Engine(EngineError::Stopped)))
}
