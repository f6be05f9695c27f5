//! Drafts from another model, with a cache of its own: a smaller one with the same vocabulary, or the same one quantised
//! harder.
//!
//! Invariant: a sequence's table holds what was computed of its tokens, drafted ones included; what turns out not to be
//! part of the sequence is cut off before the next draft. Like the target's, its rows do not depend on their batch, so
//! what it drafts does not depend on who drafts with it.

use std::collections::BTreeMap;

use llama_kv::{BlockPool, BlockTable, Holder, PagedCache};
use llama_models::{Batch, Output, Span};

use super::{Draft, DraftError, Drafter};
use crate::{scheduler::SequenceId, worker::Forward};

/// Most rows of one step.
const MAX_STEP_ROWS: usize = 512;

/// What a model drafter is made of.
pub(crate) struct ModelParts {
    pub(crate) name: &'static str,
    pub(crate) decoder: Box<dyn Forward>,
    pub(crate) cache: PagedCache,
    /// Longest sequence that the model takes.
    pub(crate) context_len: usize,
}

/// A model that drafts.
pub(crate) struct ModelDrafter {
    parts: ModelParts,
    pool: BlockPool,
    sequences: BTreeMap<SequenceId, Sequence>,
}

/// What is cached of a sequence.
struct Sequence {
    /// As many as the table holds.
    tokens: Vec<u32>,
    table: BlockTable,
}

/// Whether a draft can be worked on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Ready,
    /// Not beside those that are worked on now.
    Later,
    /// It does not fit at all.
    Nowhere,
}

impl ModelDrafter {
    pub(crate) fn new(parts: ModelParts) -> Self {
        let config = parts.cache.config();
        let pool = BlockPool::new(config.num_blocks, config.block_len);
        Self { parts, pool, sequences: BTreeMap::new() }
    }

    /// Makes room for a draft beside those of `round`, at the expense of sequences that are not in it.
    fn place(&mut self, draft: &Draft, round: &[SequenceId]) -> Result<Place, DraftError> {
        let tokens = draft.tokens();
        // The last drafted token is never computed.
        let len = tokens.len() + draft.max_len() - 1;
        if len > self.parts.context_len {
            self.forget(draft.sequence());
            return Ok(Place::Nowhere);
        }
        let mut sequence = self.follow(draft);
        let copy = loop {
            match self.pool.reserve(&mut sequence.table, len) {
                Ok(copy) => break copy,
                Err(_) if self.evict(round) => {}
                Err(_) => {
                    self.pool.close(sequence.table);
                    return Ok(if round.is_empty() { Place::Nowhere } else { Place::Later });
                }
            }
        };
        self.sequences.insert(draft.sequence(), sequence);
        copy.into_iter().try_for_each(|copy| self.parts.cache.copy_block(copy))?;
        Ok(Place::Ready)
    }

    /// What is cached of a sequence, cut back to what it has become; or a new one with what others have left. Its last
    /// token is always computed, because its logits are wanted.
    fn follow(&mut self, draft: &Draft) -> Sequence {
        let tokens = draft.tokens();
        let mut sequence = self.sequences.remove(&draft.sequence()).unwrap_or_else(|| {
            let table = self.pool.open(&tokens[..tokens.len() - 1], Holder::Sequence);
            Sequence { tokens: tokens[..table.len()].to_vec(), table }
        });
        let common = sequence.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let len = common.min(tokens.len() - 1);
        sequence.tokens.truncate(len);
        self.pool.truncate(&mut sequence.table, len);
        sequence
    }

    /// Takes the blocks of the last sequence that is not in `round`. Says whether there was one.
    fn evict(&mut self, round: &[SequenceId]) -> bool {
        let victim = self.sequences.keys().rev().find(|id| !round.contains(id)).copied();
        victim.is_some_and(|id| {
            self.forget(id);
            true
        })
    }

    /// Extends drafts that have their places, all together: those that have caught up draft while others still read.
    fn extend_together(&mut self, drafts: &mut [Draft]) -> Result<(), DraftError> {
        let mut failure = None;
        loop {
            let spans = self.plan(drafts);
            if spans.is_empty() {
                return failure.map_or(Ok(()), Err);
            }
            let block_len = self.pool.block_len();
            let batch = Batch::new(spans.iter().map(|(_, span)| span.clone()).collect(), block_len)?;
            let outputs = self.parts.decoder.forward(&batch, &mut self.parts.cache)?;
            for ((draft_idx, span), logits) in spans.into_iter().zip(outputs) {
                let draft = &mut drafts[draft_idx];
                self.commit(draft, span.first_position + span.tokens.len());
                if let Some(logits) = logits {
                    let pushed = draft.push_from(&logits.get(0)?);
                    failure = failure.or(pushed.err());
                }
            }
        }
    }

    /// The next step: of each draft that takes more, the tokens that are not computed yet, as far as there is room.
    fn plan(&self, drafts: &[Draft]) -> Vec<(usize, Span)> {
        let (mut spans, mut room) = (Vec::new(), MAX_STEP_ROWS);
        for (draft_idx, draft) in drafts.iter().enumerate().filter(|(_, draft)| draft.wants_more()) {
            let Some(sequence) = self.sequences.get(&draft.sequence()) else {
                continue;
            };
            let first_position = sequence.table.len();
            let pending = &draft.tokens()[first_position..];
            let len = pending.len().min(room);
            if len == 0 {
                continue;
            }
            room -= len;
            let num_blocks = self.pool.blocks_for(first_position + len);
            let blocks = sequence.table.blocks()[..num_blocks].iter().map(|block| block.0).collect();
            let output = if len == pending.len() { Output::LastLogits } else { Output::Nothing };
            spans.push((draft_idx, Span { tokens: pending[..len].to_vec(), first_position, blocks, output }));
        }
        spans
    }

    fn commit(&mut self, draft: &Draft, len: usize) {
        if let Some(sequence) = self.sequences.get_mut(&draft.sequence()) {
            let computed = &draft.tokens()[..len];
            sequence.tokens.extend(&computed[sequence.tokens.len()..]);
            self.pool.commit(&mut sequence.table, computed);
        }
    }
}

impl Drafter for ModelDrafter {
    fn name(&self) -> &'static str {
        self.parts.name
    }

    fn extend(&mut self, drafts: &mut [Draft]) -> Result<(), DraftError> {
        let mut left = drafts;
        while !left.is_empty() {
            let (mut round, mut num_placed) = (Vec::new(), 0);
            for draft in left.iter() {
                match self.place(draft, &round)? {
                    Place::Ready => round.push(draft.sequence()),
                    // It has no sequence, so it is passed over.
                    Place::Nowhere => {}
                    Place::Later => break,
                }
                num_placed += 1;
            }
            let (now, later) = left.split_at_mut(num_placed);
            self.extend_together(now)?;
            left = later;
        }
        Ok(())
    }

    fn forget(&mut self, sequence: SequenceId) {
        if let Some(Sequence { table, .. }) = self.sequences.remove(&sequence) {
            self.pool.close(table);
        }
    }
}
