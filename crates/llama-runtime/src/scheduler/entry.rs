//! One sequence as the scheduler sees it.

use llama_engine::Priority;
use llama_kv::BlockTable;
use llama_models::Output;

/// Names a sequence, and says who goes first: the smaller one.
///
/// Sequences stand in line in the order of their arrival, those of one request that embeds many texts as if they had
/// arrived one by one with the requests after it (start-time fair queueing: Goyal, Vin and Cheng, SIGCOMM 1996). A
/// sequence is ordered as if it had stood [`SequenceId::HEAD_START`] places further in front per step of its priority.
/// So urgent ones overtake, and nobody starves: only finitely many later arrivals come before a given one. (A static form
/// of ageing, as in Silberschatz, Operating System Concepts, 5.3.4.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId {
    rank: i64,
    arrival: u64,
    priority: i8,
}

impl SequenceId {
    /// Places that one step of priority overtakes.
    pub const HEAD_START: i64 = 64;

    /// Names the sequence that arrived as number `arrival`, and stands in line there.
    pub fn new(arrival: u64, priority: Priority) -> Self {
        Self::in_line(arrival, arrival, priority)
    }

    /// Names the sequence that arrived as number `arrival`, and stands at `place` in line.
    pub fn in_line(place: u64, arrival: u64, Priority(priority): Priority) -> Self {
        Self { rank: place as i64 - Self::HEAD_START * i64::from(priority), arrival, priority }
    }

    /// The number of its arrival.
    pub fn arrival(self) -> u64 {
        self.arrival
    }

    /// Where it stands in line, without its head start.
    pub fn place(self) -> u64 {
        (self.rank + Self::HEAD_START * i64::from(self.priority)) as u64
    }

    /// Its priority.
    pub fn priority(self) -> Priority {
        Priority(self.priority)
    }
}

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
    /// Its name, never used before.
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
    /// See [`Running::is_apart`].
    pub(super) is_apart: bool,
}

/// A running sequence.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) tokens: Vec<u32>,
    pub(super) output: Output,
    pub(super) table: BlockTable,
    /// Tokens that may come next, to be verified.
    pub(super) draft: Draft,
    /// The last token is computed in a span without those before it, so that a draft can go with it.
    pub(super) is_apart: bool,
}

/// Tokens to verify together with the last one known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// What happens when there is no room for all of them.
    pub terms: DraftTerms,
}

/// What happens to a draft for which a step or the cache has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DraftTerms {
    /// It is cut, or dropped: nobody gives way to it.
    #[default]
    Optional,
    /// It is verified whole, now or later, because the length of a draft shows in what is sampled. Others give way to
    /// it as to any token. Only a draft that does not fit into the cache at all is dropped.
    Binding,
}

impl Running {
    /// Tokens whose keys and values are not computed yet.
    pub(super) fn num_pending(&self) -> usize {
        self.tokens.len() - self.table.len()
    }
}
