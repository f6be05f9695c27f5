//! Blocks by number. What a block holds is the pool's and the cache's business.

/// Index of a block of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub u32);

impl BlockId {
    /// As an index into arrays with one entry per block.
    pub(crate) fn idx(self) -> usize {
        self.0 as usize
    }
}

/// An order to copy one block's keys and values onto another, on all layers, before the next write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockCopy {
    /// Block to read.
    pub from: BlockId,
    /// Block to write.
    pub to: BlockId,
}
