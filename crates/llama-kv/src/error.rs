//! What can go wrong in the cache.

use llama_backend::BackendError;

/// Errors of the block pool and the cache tensors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// No block is free or evictable. Close a table, or wait until one is closed.
    #[error("out of cache blocks: {needed} needed, {available} available of {total}")]
    OutOfBlocks {
        /// Blocks that the request lacks.
        needed: usize,
        /// Blocks that are free or could be evicted.
        available: usize,
        /// Blocks of the pool.
        total: usize,
    },
    /// The machine has no memory for the cache. Ask for fewer blocks.
    #[error("no memory for a cache of {bytes} bytes")]
    OutOfMemory {
        /// Size of the cache.
        bytes: usize,
    },
    /// The cache's tensors cannot be made or written.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl From<candle_core::Error> for KvError {
    fn from(source: candle_core::Error) -> Self {
        Self::Backend(source.into())
    }
}
