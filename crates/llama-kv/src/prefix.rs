//! Which cached block continues which: an exact index of token prefixes.
//!
//! Invariant: a [`ChainId`] names one block's tokens together with everything before them, and is never used again.
//! So a look-up compares tokens, not hashes, and two different prefixes can never be mistaken for each other.

use std::collections::HashMap;

use crate::BlockId;

/// Name of a whole prefix that ends with a full block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChainId(u64);

impl ChainId {
    /// The empty prefix.
    pub(crate) const ROOT: Self = Self(0);
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    parent: ChainId,
    tokens: Box<[u32]>,
}

#[derive(Debug, Default)]
pub(crate) struct PrefixIndex {
    blocks: HashMap<Key, (BlockId, ChainId)>,
    keys: HashMap<BlockId, Key>,
    last_chain: u64,
}

impl PrefixIndex {
    /// The block that holds `tokens` after the prefix `parent`.
    pub(crate) fn find(&self, parent: ChainId, tokens: &[u32]) -> Option<(BlockId, ChainId)> {
        self.blocks.get(&Key { parent, tokens: tokens.into() }).copied()
    }

    /// Enters a full block. If another block holds the same prefix already, that one stays in the index.
    pub(crate) fn insert(&mut self, parent: ChainId, tokens: &[u32], block: BlockId) -> ChainId {
        let key = Key { parent, tokens: tokens.into() };
        if let Some(&(_, chain)) = self.blocks.get(&key) {
            return chain;
        }
        self.last_chain += 1;
        let chain = ChainId(self.last_chain);
        self.blocks.insert(key.clone(), (block, chain));
        self.keys.insert(block, key);
        chain
    }

    /// Forgets a block whose contents are about to change.
    pub(crate) fn remove(&mut self, block: BlockId) {
        if let Some(key) = self.keys.remove(&block) {
            self.blocks.remove(&key);
        }
    }

    pub(crate) fn contains(&self, block: BlockId) -> bool {
        self.keys.contains_key(&block)
    }
}
