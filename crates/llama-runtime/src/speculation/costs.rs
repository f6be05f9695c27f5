//! What steps and drafts cost, by which drafts are as long as they pay.
//!
//! Measured, if at all, while an engine is loaded; the step path reads no clock.

use std::time::{Duration, Instant};

use llama_engine::Priority;
use llama_kv::PagedCache;
use llama_models::{Batch, ModelError, Output, Span};
use llama_sampling::Sampler;

use super::{Draft, DraftSpec, Drafter, Verification};
use crate::{scheduler::SequenceId, worker::Forward};

/// Rows of the steps that are measured.
const ROWS: [usize; 5] = [1, 2, 4, 8, 16];
/// Tokens before them, and those that a drafter is measured on.
const DEPTH: usize = 64;
/// After this, no further round is measured.
const ENOUGH: Duration = Duration::from_millis(300);
const MAX_ROUNDS: usize = 5;

/// What steps and drafts cost, in microseconds. Only ratios count for the length of drafts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostTable {
    /// Steps of 1, 2, 4, 8 and 16 rows.
    pub step_us: [f64; 5],
    /// A draft, besides its tokens.
    pub draft_us: f64,
    /// Each drafted token.
    pub draft_token_us: f64,
    /// Each token of a sequence that the drafter has not seen yet.
    pub draft_read_us: f64,
}

impl Default for CostTable {
    fn default() -> Self {
        Self::UNMEASURED
    }
}

impl CostTable {
    /// A model whose weights are read at the limit of the memory, and a drafter a tenth of its size.
    pub const UNMEASURED: Self = Self {
        step_us: [1000.0, 1050.0, 1150.0, 1400.0, 2000.0],
        draft_us: 0.0,
        draft_token_us: 100.0,
        draft_read_us: 10.0,
    };

    /// A step of so many rows: between those measured, and beyond them, on straight lines.
    pub(crate) fn step(&self, num_rows: usize) -> f64 {
        let last = ROWS.len() - 1;
        let right = ROWS.iter().position(|&rows| num_rows <= rows).unwrap_or(last).max(1);
        let ((from, to), rows) = ((self.step_us[right - 1], self.step_us[right]), &ROWS[right - 1..=right]);
        let share = (num_rows as f64 - rows[0] as f64) / (rows[1] - rows[0]) as f64;
        from + share * (to - from)
    }

    /// Drafts of `len` tokens for `num_sequences` at once, which share the drafter's steps as they share the model's.
    pub(crate) fn draft(&self, len: usize, num_sequences: usize) -> f64 {
        let sharing = self.step(num_sequences) / self.step(1);
        (self.draft_us + len as f64 * self.draft_token_us) * sharing
    }

    /// Measures a model and a drafter. `cache` must not be in use.
    pub(crate) fn measure(
        decoder: &dyn Forward,
        cache: &mut PagedCache,
        drafter: &mut dyn Drafter,
        vocab_size: usize,
    ) -> Result<Self, ModelError> {
        let step_us = measure_steps(decoder, cache, vocab_size)?;
        let [fresh, short, long] = measure_drafts(drafter, vocab_size);
        let draft_token_us = (long - short).max(0.0) / 4.0;
        Ok(Self {
            step_us,
            draft_us: (short - draft_token_us).max(0.0),
            draft_token_us,
            draft_read_us: (fresh - short).max(0.0) / (DEPTH - 1) as f64,
        })
    }
}

/// Steps of [`ROWS`], the best of some rounds, and none cheaper than one with fewer rows.
fn measure_steps(
    decoder: &dyn Forward,
    cache: &mut PagedCache,
    vocab_size: usize,
) -> Result<[f64; 5], ModelError> {
    let (block_len, num_blocks) = (cache.config().block_len, cache.config().num_blocks);
    let capacity = block_len * num_blocks;
    let mut step = |num_rows: usize| {
        let num_rows = num_rows.min(capacity);
        let first_position = DEPTH.min(capacity - num_rows);
        let last_block = (first_position + num_rows).div_ceil(block_len) as u32;
        let span = Span {
            tokens: tokens(num_rows, vocab_size),
            first_position,
            blocks: (0..last_block).collect(),
            output: Output::AllLogits,
        };
        decoder.forward(&Batch::new(vec![span], block_len)?, cache)
    };
    // The first one reads the weights from the disk.
    step(ROWS[ROWS.len() - 1])?;
    let (mut best, start) = ([f64::INFINITY; 5], Instant::now());
    for _ in 0..MAX_ROUNDS {
        for (best, num_rows) in best.iter_mut().zip(ROWS) {
            let start = Instant::now();
            step(num_rows)?;
            *best = best.min(micros(start));
        }
        if start.elapsed() > ENOUGH {
            break;
        }
    }
    let mut least = 0f64;
    for step_us in &mut best {
        least = least.max(*step_us);
        *step_us = least;
    }
    Ok(best)
}

/// A draft of one token for a sequence that is new to the drafter; of one and of five for a sequence with one new token.
fn measure_drafts(drafter: &mut dyn Drafter, vocab_size: usize) -> [f64; 3] {
    let id = SequenceId::new(u64::MAX >> 1, Priority::default());
    let mut draft = |num_tokens: usize, most: usize| {
        let mut drafts = [Draft::new(DraftSpec {
            id,
            tokens: tokens(num_tokens, vocab_size),
            prompt_len: num_tokens,
            most,
            sampler: Sampler::with_processors(Vec::new(), 0),
            constraint: None,
            ends: Default::default(),
            vocab_size,
            verification: Verification::Matching,
        })];
        let start = Instant::now();
        // One that fails drafts nothing, and costs what it takes to fail.
        let _ = drafter.extend(&mut drafts);
        if most == 5 {
            drafter.forget(id);
        }
        micros(start)
    };
    draft(DEPTH, 5);
    let (mut best, start) = ([f64::INFINITY; 3], Instant::now());
    for _ in 0..MAX_ROUNDS {
        let round = [draft(DEPTH, 1), draft(DEPTH + 1, 1), draft(DEPTH + 2, 5)];
        best.iter_mut().zip(round).for_each(|(best, took)| *best = best.min(took));
        if start.elapsed() > ENOUGH {
            break;
        }
    }
    best
}

/// Any tokens, the same each time, none like the one before.
fn tokens(len: usize, vocab_size: usize) -> Vec<u32> {
    (0..len).map(|i| (i * 7919 % vocab_size) as u32).collect()
}

fn micros(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_lie_on_lines_between_those_measured() {
        let costs = CostTable { step_us: [10.0, 11.0, 13.0, 21.0, 37.0], ..CostTable::default() };
        let check = |num_rows, expected: f64| assert_eq!(costs.step(num_rows), expected, "{num_rows} rows");
        check(1, 10.0);
        check(2, 11.0);
        check(3, 12.0);
        check(6, 17.0);
        check(16, 37.0);
        check(24, 53.0);
    }

    #[test]
    fn sequences_share_the_steps_of_a_draft() {
        let costs = CostTable { step_us: [10.0, 12.0, 16.0, 24.0, 40.0], ..CostTable::default() };
        assert_eq!(costs.draft(3, 1), 300.0);
        assert_eq!(costs.draft(3, 2), 360.0);
    }
}
