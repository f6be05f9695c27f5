//! What a step computes.

use std::ops::Range;

use llama_kv::BlockCopy;
use llama_models::Output;

use super::SequenceId;

/// A span of one sequence's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSpan {
    /// Whose tokens.
    pub id: SequenceId,
    /// Which of them, drafted ones included.
    pub positions: Range<usize>,
    /// How many of them, at the end, are a draft; then logits are wanted after each.
    pub num_drafted: usize,
    /// What the step shall return: [`Output::Nothing`] for a chunk that is not the last, unless every state is wanted.
    pub output: Output,
}

/// One step: first the copies, then the spans as one batch.
#[derive(Debug, Default)]
pub struct StepPlan {
    /// Blocks to copy before anything is written.
    pub copies: Vec<BlockCopy>,
    /// Spans, in the order of their sequences within decode and prefill.
    pub spans: Vec<PlannedSpan>,
    /// Sequences that can never run: they are gone from the scheduler.
    pub refused: Vec<Refusal>,
    /// Sequences that lost their blocks and will be computed again.
    pub preempted: Vec<SequenceId>,
}

/// A sequence that needs more blocks than can ever be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which.
    pub id: SequenceId,
    /// Blocks for its tokens, besides those that it shares with a pin.
    pub needed_blocks: usize,
    /// Blocks that no pin holds.
    pub available_blocks: usize,
    /// Blocks of the pool.
    pub total_blocks: usize,
}
