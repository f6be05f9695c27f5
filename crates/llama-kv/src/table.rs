//! The block table of one sequence.

use crate::{BlockId, prefix::ChainId};

/// Who holds a table's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A running sequence.
    Sequence,
    /// A pin: its blocks stay, whatever else needs memory.
    Pin,
}

/// Which blocks hold a sequence's positions, in order. Made and changed by [`crate::BlockPool`] alone, and given
/// back to it: a table that is dropped instead leaks its blocks.
///
/// Invariant: `blocks` covers at least `len` positions; `chains` names its full blocks.
#[derive(Debug)]
#[must_use = "a dropped table leaks its blocks: give it to BlockPool::close"]
pub struct BlockTable {
    pub(crate) blocks: Vec<BlockId>,
    pub(crate) chains: Vec<ChainId>,
    pub(crate) len: usize,
    pub(crate) holder: Holder,
}

impl BlockTable {
    /// Tokens whose keys and values are cached.
    #[expect(clippy::len_without_is_empty, reason = "an empty table is nothing special")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The blocks, by position. May reach past `len`, where memory is reserved.
    pub fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }

    /// The blocks as plain indices, as attention takes them.
    pub fn indices(&self) -> Vec<u32> {
        self.blocks.iter().map(|block| block.0).collect()
    }
}
