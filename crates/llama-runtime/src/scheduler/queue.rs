//! The scheduler: decode first, then prefill in chunks, in the order of [`SequenceId`]; preemption takes the last.
//!
//! Invariant: every sequence is waiting or running until it is finished; tables belong to running sequences only, so
//! whoever leaves gives its blocks back. A fixed order without overtaking means that nobody starves.

use std::collections::BTreeMap;

use llama_kv::{BlockPool, BlockTable, Holder};
use llama_models::{Output, Span};

use super::{
    Draft, PlannedSpan, Refusal, SequenceId, SequenceSpec, Start, StepPlan,
    entry::{Entry, Running},
};

/// Most rows of a step that want logits each: with a vocabulary of 150,000 they take 40 MB.
pub(super) const MAX_LOGIT_ROWS: usize = 64;

/// Limits of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// Most tokens of one step, at least 1: bounds how long a prompt can delay the others' next token.
    pub max_step_tokens: usize,
    /// Most sequences that run at once, at least 1.
    pub max_running: usize,
}

/// The sequences of one engine and their blocks.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) config: SchedulerConfig,
    pub(super) pool: BlockPool,
    pub(super) waiting: BTreeMap<SequenceId, Entry>,
    pub(super) running: BTreeMap<SequenceId, Running>,
}

impl Scheduler {
    /// # Panics
    /// If a limit is zero.
    pub fn new(config: SchedulerConfig, pool: BlockPool) -> Self {
        assert!(config.max_step_tokens > 0 && config.max_running > 0, "a limit of zero: {config:?}");
        Self { config, pool, waiting: BTreeMap::new(), running: BTreeMap::new() }
    }

    /// The blocks. For pins, which hold tables of their own.
    pub fn pool_mut(&mut self) -> &mut BlockPool {
        &mut self.pool
    }

    /// The blocks.
    pub fn pool(&self) -> &BlockPool {
        &self.pool
    }

    /// Sequences that wait for their first or next admission.
    pub fn num_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Sequences that hold blocks.
    pub fn num_running(&self) -> usize {
        self.running.len()
    }

    /// Adds a sequence.
    ///
    /// # Panics
    /// If it has no tokens or its name is taken.
    pub fn submit(&mut self, spec: SequenceSpec) {
        assert!(!spec.tokens.is_empty(), "a sequence without tokens");
        let SequenceSpec { tokens, output, start, .. } = spec;
        let entry = Entry { tokens, output, start, is_apart: false };
        let taken = self.running.contains_key(&spec.id) || self.waiting.insert(spec.id, entry).is_some();
        assert!(!taken, "{:?} is taken", spec.id);
    }

    /// All tokens of a sequence; `None` if it is not here.
    pub fn tokens(&self, id: SequenceId) -> Option<&[u32]> {
        let waiting = || self.waiting.get(&id).map(|entry| entry.tokens.as_slice());
        self.running.get(&id).map(|running| running.tokens.as_slice()).or_else(waiting)
    }

    /// Tokens of a running sequence whose keys and values are cached.
    pub fn num_cached(&self, id: SequenceId) -> usize {
        self.running.get(&id).map_or(0, |running| running.table.len())
    }

    /// Plans the next step and reserves its blocks. An empty plan means that there is nothing to do.
    pub fn plan(&mut self) -> StepPlan {
        let mut plan = StepPlan::default();
        loop {
            self.admit_urgent(&mut plan);
            let mut budget = self.config.max_step_tokens;
            self.plan_decode(&mut plan, &mut budget);
            // Newcomers would take the blocks that a started prompt lacks.
            if self.plan_prefill(&mut plan, &mut budget) {
                self.admit(&mut plan, &mut budget);
            }
            if !plan.spans.is_empty() || !self.make_room(&mut plan) {
                return plan;
            }
        }
    }

    /// A planned span as the decoder takes it.
    ///
    /// # Panics
    /// If the span is not of the last plan.
    pub fn span(&self, planned: &PlannedSpan) -> Span {
        let running = self.running.get(&planned.id).expect("a planned sequence runs");
        let num_blocks = self.pool.blocks_for(planned.positions.end);
        let known = planned.positions.start..planned.positions.end - planned.num_drafted;
        Span {
            tokens: [&running.tokens[known], &running.draft.tokens[..planned.num_drafted]].concat(),
            first_position: planned.positions.start,
            blocks: running.table.blocks()[..num_blocks].iter().map(|block| block.0).collect(),
            output: planned.output,
        }
    }

    /// Says that the planned spans were computed: their blocks become shareable. Drafts are not settled by it, see
    /// [`Scheduler::settle`].
    pub fn complete(&mut self, spans: &[PlannedSpan]) {
        for span in spans {
            if let Some(running) = self.running.get_mut(&span.id) {
                let known_len = span.positions.end - span.num_drafted;
                self.pool.commit(&mut running.table, &running.tokens[..known_len]);
            }
        }
    }

    /// Adds a sampled token.
    ///
    /// # Panics
    /// If the sequence is not here.
    pub fn append(&mut self, id: SequenceId, token: u32) {
        let waiting = self.waiting.get_mut(&id).map(|entry| &mut entry.tokens);
        let tokens = self.running.get_mut(&id).map(|running| &mut running.tokens).or(waiting);
        tokens.expect("a sampled sequence is here").push(token);
    }

    /// Of what a running sequence still computes, only the last row of logits is wanted from now on.
    pub fn want_last_logits(&mut self, id: SequenceId) {
        if let Some(running) = self.running.get_mut(&id) {
            running.output = Output::LastLogits;
        }
    }

    /// Ends a sequence, wherever it is, and gives its blocks back. Says whether it was here.
    pub fn finish(&mut self, id: SequenceId) -> bool {
        if let Some(running) = self.running.remove(&id) {
            self.pool.close(running.table);
            return true;
        }
        match self.waiting.remove(&id) {
            Some(Entry { start: Start::Forked(table), .. }) => {
                self.pool.close(table);
                true
            }
            entry => entry.is_some(),
        }
    }

    /// A fork of a sequence: all its tokens, and a table of those that are cached. The last sampled one never is, and
    /// of one that waits, only what others have left in the cache.
    pub fn fork(&mut self, id: SequenceId, holder: Holder) -> Option<(Vec<u32>, BlockTable)> {
        if let Some(Running { tokens, table, .. }) = self.running.get(&id) {
            return Some((tokens.clone(), self.pool.fork(table, holder)));
        }
        let Entry { tokens, start, .. } = self.waiting.get(&id)?;
        let table = match start {
            Start::Forked(table) => self.pool.fork(table, holder),
            Start::Cached => self.pool.open(tokens, holder),
            Start::Fresh => self.pool.open(&[], holder),
        };
        Some((tokens.clone(), table))
    }

    /// Takes blocks from running sequences, the last one first, and from forks that wait, until `num_blocks` are
    /// available or nothing is left to take. Returns how many sequences lost theirs.
    pub fn make_room_for(&mut self, num_blocks: usize) -> u64 {
        let mut plan = StepPlan::default();
        while self.pool.available_blocks() < num_blocks {
            if !self.running.is_empty() {
                self.preempt_last(&mut plan);
            } else if !self.close_waiting_forks() {
                break;
            }
        }
        plan.preempted.len() as u64
    }

    /// Running sequences that lack one token: in order, making room at the expense of the last.
    fn plan_decode(&mut self, plan: &mut StepPlan, budget: &mut usize) {
        let decoding = self.running.iter().filter(|(_, running)| running.num_pending() == 1);
        let ids: Vec<SequenceId> = decoding.map(|(id, _)| *id).collect();
        for id in ids {
            if *budget == 0 {
                return;
            }
            // A victim of one before it is gone; no victim has been planned, because all come after it.
            while self.running.contains_key(&id) && !self.plan_draft(id, plan, budget) {
                self.preempt_last(plan);
            }
        }
    }

    /// Running sequences that lack more: as many tokens as budget and blocks allow, up to the first that lacks blocks.
    /// Says whether none did.
    fn plan_prefill(&mut self, plan: &mut StepPlan, budget: &mut usize) -> bool {
        let prefilling = self.running.iter().filter(|(_, running)| running.num_pending() > 1);
        let ids: Vec<SequenceId> = prefilling.map(|(id, _)| *id).collect();
        ids.into_iter().all(|id| self.plan_chunk(id, plan, budget))
    }

    /// Says whether there were blocks for it.
    fn plan_chunk(&mut self, id: SequenceId, plan: &mut StepPlan, budget: &mut usize) -> bool {
        let Some(running) = self.running.get(&id) else {
            return true;
        };
        let mut len = (running.num_pending() - usize::from(running.is_apart)).min(*budget);
        if running.output == Output::AllLogits {
            let planned = plan.spans.iter().filter(|span| span.output == Output::AllLogits);
            let prompts = planned.filter(|span| span.num_drafted == 0);
            let num_rows: usize = prompts.map(|span| span.positions.len()).sum();
            len = len.min(MAX_LOGIT_ROWS.saturating_sub(num_rows));
        }
        let has_blocks = len == 0 || self.plan_span(id, len, plan);
        if has_blocks {
            *budget -= len;
        }
        has_blocks
    }

    /// Lets waiting sequences take the places of running ones of lower priority, as long as there is no other place.
    fn admit_urgent(&mut self, plan: &mut StepPlan) {
        while let (Some(&id), Some(&last)) = (self.waiting.keys().next(), self.running.keys().next_back()) {
            if last < id || last.priority() >= id.priority() || self.is_being_computed(id) {
                return;
            }
            let is_full = self.running.len() >= self.config.max_running;
            if is_full || !self.open(id) {
                self.preempt_last(plan);
            }
        }
    }

    /// Waiting sequences, in order, as long as the blocks for all their tokens are there, besides those that the
    /// running ones still need for theirs.
    fn admit(&mut self, plan: &mut StepPlan, budget: &mut usize) {
        while *budget > 0 && self.running.len() < self.config.max_running {
            let Some(&id) = self.waiting.keys().next() else {
                return;
            };
            if !self.open(id) {
                return;
            }
            self.plan_chunk(id, plan, budget);
        }
    }

    /// Whether a running sequence is about to compute blocks that a waiting one can share: then it shall wait for them.
    fn is_being_computed(&self, id: SequenceId) -> bool {
        let Some(Entry { tokens, start: Start::Cached, .. }) = self.waiting.get(&id) else {
            return false;
        };
        let prefilling = self.running.values().filter(|running| running.num_pending() > 1);
        let mut shared = prefilling.map(|running| {
            let common = running.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
            common.min(tokens.len() - 1) / self.pool.block_len() * self.pool.block_len()
        });
        let cached_len = self.pool.cached_len(tokens);
        shared.any(|len| len > cached_len)
    }

    /// Lets a waiting sequence run with its cached blocks, if the others it needs are there.
    fn open(&mut self, id: SequenceId) -> bool {
        if self.is_being_computed(id) {
            return false;
        }
        let promised: usize = self.running.values().map(|running| self.lacking(running)).sum();
        let Some(entry) = self.waiting.remove(&id) else {
            return false;
        };
        let Entry { tokens, output, start, is_apart } = entry;
        let is_fork = matches!(start, Start::Forked(_));
        let mut table = match start {
            // The last token is always computed: its logits are wanted.
            Start::Cached => self.pool.open(&tokens[..tokens.len() - 1], Holder::Sequence),
            Start::Fresh => self.pool.open(&[], Holder::Sequence),
            Start::Forked(table) => table,
        };
        self.pool.truncate(&mut table, tokens.len() - 1);
        let copies = usize::from(self.pool.copies_tail(&table));
        let running = Running { tokens, output, table, draft: Draft::default(), is_apart };
        let fits = self.lacking(&running) + copies + promised <= self.pool.available_blocks();
        if fits {
            self.running.insert(id, running);
        } else if is_fork {
            // It keeps its blocks until somebody needs them.
            let Running { tokens, output, table, .. } = running;
            self.waiting.insert(id, Entry { tokens, output, start: Start::Forked(table), is_apart });
        } else {
            self.wait_again(id, running);
        }
        fits
    }

    /// Blocks that a running sequence's known tokens still need.
    fn lacking(&self, running: &Running) -> usize {
        self.pool.blocks_for(running.tokens.len()).saturating_sub(running.table.blocks().len())
    }

    /// Reserves blocks for the next `len` tokens of a running sequence and plans them. Says whether that worked.
    pub(super) fn plan_span(&mut self, id: SequenceId, len: usize, plan: &mut StepPlan) -> bool {
        let running = self.running.get_mut(&id).expect("only running sequences are planned");
        let positions = running.table.len()..running.table.len() + len;
        let Ok(copy) = self.pool.reserve(&mut running.table, positions.end) else {
            return false;
        };
        plan.copies.extend(copy);
        let num_drafted = positions.end.saturating_sub(running.tokens.len());
        let is_last = positions.end >= running.tokens.len();
        let output = match running.output {
            Output::LastLogits if !is_last => Output::Nothing,
            Output::LastLogits if num_drafted > 0 => Output::AllLogits,
            output => output,
        };
        plan.spans.push(PlannedSpan { id, positions, num_drafted, output });
        true
    }

    /// Sends the last running sequence back to wait.
    fn preempt_last(&mut self, plan: &mut StepPlan) {
        if let Some((id, running)) = self.running.pop_last() {
            self.wait_again(id, running);
            plan.preempted.push(id);
        }
    }

    /// Takes a sequence's blocks away and lets it wait.
    fn wait_again(&mut self, id: SequenceId, running: Running) {
        let Running { tokens, output, table, is_apart, .. } = running;
        self.pool.close(table);
        self.waiting.insert(id, Entry { tokens, output, start: restart(output), is_apart });
    }

    /// When nothing could be planned: takes blocks from the last, then from forks that wait, or refuses the one that
    /// is alone and still lacks blocks. Says whether planning should be tried again.
    fn make_room(&mut self, plan: &mut StepPlan) -> bool {
        if self.running.len() > 1 {
            self.preempt_last(plan);
            return true;
        }
        if self.close_waiting_forks() {
            return true;
        }
        let alone = self.running.keys().chain(self.waiting.keys()).next().copied();
        let Some(id) = alone else {
            return false;
        };
        let needed_blocks = self.unpinned_blocks(id);
        self.finish(id);
        let stats = self.pool.stats();
        plan.refused.push(Refusal {
            id,
            needed_blocks,
            available_blocks: stats.total_blocks - stats.pinned_blocks,
            total_blocks: stats.total_blocks,
        });
        true
    }

    /// Blocks that a sequence takes besides those that it shares with a pin. A shared block that it writes into is
    /// copied, and so is not shared: one that is not full, or that holds the last token, which is always computed.
    fn unpinned_blocks(&mut self, id: SequenceId) -> usize {
        let len = self.tokens(id).map_or(0, <[u32]>::len);
        let Some((_, table)) = self.fork(id, Holder::Pin) else {
            return 0;
        };
        let num_full = table.len().min(len - 1) / self.pool.block_len();
        // One pin is the fork itself.
        let shared =
            table.blocks()[..num_full].iter().filter(|&&block| self.pool.num_pins(block) > 1).count();
        self.pool.close(table);
        self.pool.blocks_for(len) - shared
    }

    /// Forks that wait give their blocks back; what is still cached when they start, they find again. Says whether
    /// there were any.
    fn close_waiting_forks(&mut self) -> bool {
        let mut found = false;
        for entry in self.waiting.values_mut() {
            if matches!(entry.start, Start::Forked(_))
                && let Start::Forked(table) = std::mem::replace(&mut entry.start, restart(entry.output))
            {
                self.pool.close(table);
                found = true;
            }
        }
        found
    }
}

/// How a sequence begins again that has lost its blocks: whoever wants every row cannot skip any.
fn restart(output: Output) -> Start {
    match output {
        Output::HiddenStates | Output::AllLogits => Start::Fresh,
        Output::LastLogits | Output::Nothing => Start::Cached,
    }
}
