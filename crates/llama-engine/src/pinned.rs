//! A handle on cached context.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::EngineError;

/// Names a pinned context within its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContextId(pub u64);

/// For engines: a number that no other engine of this process has, see [`PinnedContext::new`].
pub fn unique_engine() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Context that an engine keeps cached. Clones share it; dropping the last one lets it go. Generations may start from
/// it any number of times, at the same time: that is branching.
#[derive(Clone)]
pub struct PinnedContext {
    pin: Arc<Pin>,
    len: usize,
}

struct Pin {
    id: ContextId,
    engine: u64,
    on_release: Box<dyn Fn(ContextId) + Send + Sync>,
}

impl PinnedContext {
    /// For engines: a handle on `len` tokens, that calls `on_release` when its last clone is dropped. `engine` tells
    /// engines of one process apart.
    pub fn new(
        id: ContextId,
        engine: u64,
        len: usize,
        on_release: impl Fn(ContextId) + Send + Sync + 'static,
    ) -> Self {
        Self { pin: Arc::new(Pin { id, engine, on_release: Box::new(on_release) }), len }
    }

    /// For engines: its name, if it belongs to `engine`.
    ///
    /// # Errors
    /// [`EngineError::ForeignContext`] otherwise.
    pub fn id_in(&self, engine: u64) -> Result<ContextId, EngineError> {
        if self.pin.engine == engine { Ok(self.pin.id) } else { Err(EngineError::ForeignContext) }
    }

    /// Its tokens.
    #[expect(clippy::len_without_is_empty, reason = "an empty context is nothing special")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The same context up to `position` tokens: what comes after is ignored, and nothing is computed again.
    ///
    /// # Errors
    /// [`EngineError::InvalidRequest`] if the context is shorter.
    pub fn rewind(&self, position: usize) -> Result<Self, EngineError> {
        if position > self.len {
            return Err(EngineError::InvalidRequest {
                field: "rewind",
                reason: format!("position {position} of a context of {} tokens", self.len),
            });
        }
        Ok(Self { pin: self.pin.clone(), len: position })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        (self.on_release)(self.id);
    }
}

impl fmt::Debug for PinnedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinnedContext({}, {} tokens)", self.pin.id.0, self.len)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_last_clone_releases_once() {
        let released = Arc::new(AtomicUsize::new(0));
        let counter = released.clone();
        let context = PinnedContext::new(ContextId(3), 1, 10, move |id| {
            assert_eq!(id, ContextId(3));
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let shorter = context.rewind(4).unwrap();
        drop(context);
        assert_eq!((shorter.len(), released.load(Ordering::SeqCst)), (4, 0));
        assert!(shorter.rewind(5).is_err());
        assert!(matches!(shorter.id_in(2), Err(EngineError::ForeignContext)));
        drop(shorter);
        assert_eq!(released.load(Ordering::SeqCst), 1);
    }
}
