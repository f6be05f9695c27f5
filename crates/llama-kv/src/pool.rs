//! Who holds which block: reference counts, prefix sharing, copy on write, eviction.
//!
//! Invariant: a block is free, cached (no holder, contents kept for reuse) or used (holders counted); a block with
//! more than one holder, or that the prefix index promises to others, is never written. It knows no tensor.

use std::collections::BTreeMap;

use crate::{BlockCopy, BlockId, BlockTable, Holder, KvError, prefix::ChainId, prefix::PrefixIndex};

/// A fixed number of blocks and the tables made of them.
#[derive(Debug)]
pub struct BlockPool {
    block_len: usize,
    blocks: Vec<BlockState>,
    free: Vec<BlockId>,
    cached: BTreeMap<u64, BlockId>,
    prefixes: PrefixIndex,
    clock: u64,
    held: Held,
    counters: Counters,
}

#[derive(Clone, Debug, Default)]
struct BlockState {
    num_sequences: u32,
    num_pins: u32,
    /// Slots written, from the front.
    filled_len: usize,
    /// Key in `cached` while no one holds the block.
    cached_at: Option<u64>,
}

impl BlockState {
    fn num_holders(&self) -> u32 {
        self.num_sequences + self.num_pins
    }

    fn holders_mut(&mut self, holder: Holder) -> &mut u32 {
        match holder {
            Holder::Sequence => &mut self.num_sequences,
            Holder::Pin => &mut self.num_pins,
        }
    }
}

/// What can be said of the blocks that somebody holds, kept up to date: it is asked for after every step.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    filled_slots: usize,
    pinned_blocks: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    queried_tokens: u64,
    hit_tokens: u64,
    evictions: u64,
}

/// How the blocks are used now, and what the prefix index has saved since the pool was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Blocks of the pool.
    pub total_blocks: usize,
    /// Blocks that nobody holds and that keep nothing.
    pub free_blocks: usize,
    /// Blocks that nobody holds and whose contents can be reused or evicted.
    pub cached_blocks: usize,
    /// Blocks that sequences or pins hold.
    pub used_blocks: usize,
    /// Those of the used blocks that a pin holds.
    pub pinned_blocks: usize,
    /// Slots of the used blocks that hold no token.
    pub wasted_slots: usize,
    /// Tokens that were looked up in the prefix index.
    pub queried_tokens: u64,
    /// Those of them that were found.
    pub hit_tokens: u64,
    /// Cached blocks that were given up for new ones.
    pub evictions: u64,
}

impl BlockPool {
    /// A pool of `num_blocks` free blocks of `block_len` tokens each.
    ///
    /// # Panics
    /// If `block_len` is zero or there are more than 2^32 blocks.
    pub fn new(num_blocks: usize, block_len: usize) -> Self {
        assert!(block_len > 0, "a block of no tokens");
        let last = u32::try_from(num_blocks).expect("block indices are 32 bits");
        Self {
            block_len,
            blocks: vec![BlockState::default(); num_blocks],
            free: (0..last).rev().map(BlockId).collect(),
            cached: BTreeMap::new(),
            prefixes: PrefixIndex::default(),
            clock: 0,
            held: Held::default(),
            counters: Counters::default(),
        }
    }

    /// Tokens per block.
    pub fn block_len(&self) -> usize {
        self.block_len
    }

    /// Blocks that `len` tokens take.
    pub fn blocks_for(&self, len: usize) -> usize {
        len.div_ceil(self.block_len)
    }

    /// Blocks that could be handed out now: free or evictable.
    pub fn available_blocks(&self) -> usize {
        self.free.len() + self.cached.len()
    }

    /// A table for a sequence that begins with `tokens`: it shares as many cached blocks as match, and its length
    /// says how many tokens they hold.
    pub fn open(&mut self, tokens: &[u32], holder: Holder) -> BlockTable {
        let mut table = BlockTable { blocks: Vec::new(), chains: Vec::new(), len: 0, holder };
        for tokens in tokens.chunks_exact(self.block_len) {
            let parent = table.chains.last().copied().unwrap_or(ChainId::ROOT);
            let Some((block, chain)) = self.prefixes.find(parent, tokens) else {
                break;
            };
            self.hold(block, holder);
            table.blocks.push(block);
            table.chains.push(chain);
            table.len += self.block_len;
        }
        self.counters.queried_tokens += tokens.len() as u64;
        self.counters.hit_tokens += table.len as u64;
        table
    }

    /// How many of the first `tokens` are in the index, without holding or counting them.
    pub fn cached_len(&self, tokens: &[u32]) -> usize {
        let mut parent = ChainId::ROOT;
        let mut len = 0;
        for tokens in tokens.chunks_exact(self.block_len) {
            let Some((_, chain)) = self.prefixes.find(parent, tokens) else {
                break;
            };
            (parent, len) = (chain, len + self.block_len);
        }
        len
    }

    /// Makes the positions from the table's length up to `len` writable. Returns the copies to make first.
    ///
    /// # Errors
    /// [`KvError::OutOfBlocks`], and then nothing has changed.
    pub fn reserve(&mut self, table: &mut BlockTable, len: usize) -> Result<Option<BlockCopy>, KvError> {
        if len <= table.len {
            return Ok(None);
        }
        let shared_tail = self.shared_tail(table);
        let missing = self.blocks_for(len).saturating_sub(table.blocks.len());
        let needed = missing + usize::from(shared_tail.is_some());
        if needed > self.available_blocks() {
            let (available, total) = (self.available_blocks(), self.blocks.len());
            return Err(KvError::OutOfBlocks { needed, available, total });
        }
        let copy = match shared_tail {
            Some(tail_idx) => Some(self.copy_tail(table, tail_idx)),
            None => {
                self.forget_tail(table);
                None
            }
        };
        for _ in 0..missing {
            let block = self.allocate(table.holder);
            table.blocks.push(block);
        }
        Ok(copy)
    }

    /// Says that the table's sequence is `tokens` and that all of it has been written. Full blocks become shareable.
    ///
    /// # Panics
    /// If the positions were not reserved.
    pub fn commit(&mut self, table: &mut BlockTable, tokens: &[u32]) {
        assert!(tokens.len() <= table.blocks.len() * self.block_len, "commit past the reserved blocks");
        assert!(tokens.len() >= table.len, "commit of a shorter sequence: use truncate");
        let first = table.len / self.block_len;
        for (block, tokens) in
            table.blocks[first..].iter().zip(tokens[first * self.block_len..].chunks(self.block_len))
        {
            self.fill(*block, tokens.len());
            if tokens.len() == self.block_len {
                let parent = table.chains.last().copied().unwrap_or(ChainId::ROOT);
                table.chains.push(self.prefixes.insert(parent, tokens, *block));
            }
        }
        table.len = tokens.len();
    }

    /// A second table over the same blocks. Whichever writes first into a shared block copies it.
    pub fn fork(&mut self, table: &BlockTable, holder: Holder) -> BlockTable {
        let blocks = table.blocks[..self.blocks_for(table.len)].to_vec();
        for &block in &blocks {
            self.hold(block, holder);
        }
        BlockTable { blocks, chains: table.chains.clone(), len: table.len, holder }
    }

    /// Forgets the positions from `len` on and gives back the blocks past them.
    pub fn truncate(&mut self, table: &mut BlockTable, len: usize) {
        let len = len.min(table.len);
        for block in table.blocks.drain(self.blocks_for(len)..).rev().collect::<Vec<_>>() {
            self.release(block, table.holder);
        }
        table.chains.truncate(len / self.block_len);
        table.len = len;
    }

    /// Gives all blocks back. Full ones stay cached until their memory is needed, the last ones the shortest.
    pub fn close(&mut self, table: BlockTable) {
        for &block in table.blocks.iter().rev() {
            self.release(block, table.holder);
        }
    }

    /// Whether the next token goes into a block that must be copied first, because others hold it too.
    pub fn copies_tail(&self, table: &BlockTable) -> bool {
        self.shared_tail(table).is_some()
    }

    /// Pins that hold a block.
    pub fn num_pins(&self, block: BlockId) -> u32 {
        self.blocks[block.idx()].num_pins
    }

    /// Gives up every cached block, so that nothing is shared with what ran before.
    pub fn clear_cached(&mut self) {
        while self.evict() {}
    }

    /// How the blocks are used. Costs the same for any number of blocks.
    pub fn stats(&self) -> PoolStats {
        let used_blocks = self.blocks.len() - self.available_blocks();
        PoolStats {
            total_blocks: self.blocks.len(),
            free_blocks: self.free.len(),
            cached_blocks: self.cached.len(),
            used_blocks,
            pinned_blocks: self.held.pinned_blocks,
            wasted_slots: used_blocks * self.block_len - self.held.filled_slots,
            queried_tokens: self.counters.queried_tokens,
            hit_tokens: self.counters.hit_tokens,
            evictions: self.counters.evictions,
        }
    }

    /// Index of the partly filled last block, if others hold it too.
    fn shared_tail(&self, table: &BlockTable) -> Option<usize> {
        let tail_idx = table.len / self.block_len;
        let is_partial = !table.len.is_multiple_of(self.block_len);
        let tail = table.blocks.get(tail_idx).filter(|_| is_partial)?;
        (self.blocks[tail.idx()].num_holders() > 1).then_some(tail_idx)
    }

    fn copy_tail(&mut self, table: &mut BlockTable, tail_idx: usize) -> BlockCopy {
        let from = table.blocks[tail_idx];
        let to = self.allocate(table.holder);
        self.fill(to, table.len % self.block_len);
        self.release(from, table.holder);
        table.blocks[tail_idx] = to;
        BlockCopy { from, to }
    }

    /// Takes a block that is about to be overwritten out of the index (it was full before a truncation).
    fn forget_tail(&mut self, table: &BlockTable) {
        if let Some(&block) = table.blocks.get(table.len / self.block_len) {
            self.prefixes.remove(block);
            self.fill(block, table.len % self.block_len);
        }
    }

    /// Notes how many slots of a block that somebody holds are written.
    fn fill(&mut self, block: BlockId, len: usize) {
        let state = &mut self.blocks[block.idx()];
        self.held.filled_slots = self.held.filled_slots + len - state.filled_len;
        state.filled_len = len;
    }

    fn hold(&mut self, block: BlockId, holder: Holder) {
        let state = &mut self.blocks[block.idx()];
        if let Some(tick) = state.cached_at.take() {
            self.cached.remove(&tick);
        }
        if state.num_holders() == 0 {
            self.held.filled_slots += state.filled_len;
        }
        if holder == Holder::Pin && state.num_pins == 0 {
            self.held.pinned_blocks += 1;
        }
        *state.holders_mut(holder) += 1;
    }

    fn release(&mut self, block: BlockId, holder: Holder) {
        let state = &mut self.blocks[block.idx()];
        let count = state.holders_mut(holder);
        assert!(*count > 0, "{block:?} released more often than held");
        *count -= 1;
        if holder == Holder::Pin && state.num_pins == 0 {
            self.held.pinned_blocks -= 1;
        }
        if state.num_holders() > 0 {
            return;
        }
        self.held.filled_slots -= state.filled_len;
        if self.prefixes.contains(block) {
            self.clock += 1;
            state.cached_at = Some(self.clock);
            self.cached.insert(self.clock, block);
        } else {
            self.free.push(block);
        }
    }

    /// A block of its own for `holder`; the caller has checked that there is one.
    fn allocate(&mut self, holder: Holder) -> BlockId {
        if self.free.is_empty() {
            self.evict();
            self.counters.evictions += 1;
        }
        let block = self.free.pop().expect("the caller checked that a block is available");
        self.blocks[block.idx()].filled_len = 0;
        self.hold(block, holder);
        block
    }

    /// Frees the cached block that was given back first. Says whether there was one.
    fn evict(&mut self) -> bool {
        let Some((_, block)) = self.cached.pop_first() else {
            return false;
        };
        self.blocks[block.idx()].cached_at = None;
        self.prefixes.remove(block);
        self.free.push(block);
        true
    }
}

#[cfg(test)]
mod tests;
