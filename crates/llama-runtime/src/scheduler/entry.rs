//! One sequence as the scheduler sees it.

use llama_kv::BlockTable;
use llama_models::Output;

/// Names a sequence. Given out in order of arrival, so that a smaller one is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(pub u64);

/// What a sequence begins with.
#[derive(Debug)]
pub enum Start {
    /// Cached blocks with the same tokens are shared.
    Cached,
    /// Everything is computed: whoever wants every hidden state cannot skip any.
    Fresh,
    /// A fork of pinned context.
    Forked(BlockTable),
}

/// A sequence to run.
#[derive(Debug)]
pub struct SequenceSpec {
    /// Its name; larger than any before.
    pub id: SequenceId,
    /// The tokens known so far, at least one.
    pub tokens: Vec<u32>,
    /// What is wanted after the last known token.
    pub output: Output,
    /// What it begins with.
    pub start: Start,
}

/// A sequence that waits or runs. Invariant: a running one has a table, and more tokens than the table holds, unless
/// its last step is still being sampled.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) tokens: Vec<u32>,
    pub(super) output: Output,
    pub(super) start: Start,
}

/// A running sequence.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) tokens: Vec<u32>,
    pub(super) output: Output,
    pub(super) table: BlockTable,
}

impl Running {
    /// Tokens whose keys and values are not computed yet.
    pub(super) fn num_pending(&self) -> usize {
        self.tokens.len() - self.table.len()
    }
}
