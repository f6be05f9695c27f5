//! What a worker has for speculation: a drafter, what steps cost, and the drafts under way.

use std::collections::BTreeMap;

use llama_engine::MAX_DRAFT_LEN;
use llama_kv::PagedCache;
use llama_sampling::Proposal;

use super::{CostTable, Costs, Draft, DraftError, Drafter, SpeculationOptions, Verification};
use crate::{
    LoadError,
    scheduler::{Scheduler, SequenceId},
    worker::Forward,
};

/// Share of drafted tokens that is expected to be accepted before any was.
const PRIOR: f64 = 0.7;
/// How much of what is expected of a new request a single token changes.
const LEARNING_RATE: f64 = 0.02;

/// A drafter at work.
pub(crate) struct Speculator {
    drafter: Box<dyn Drafter>,
    verification: Verification,
    max_draft_len: usize,
    costs: Costs,
    measured: CostTable,
    prior: f64,
    proposals: BTreeMap<SequenceId, Vec<Proposal>>,
}

impl Speculator {
    /// Measures, if need be, what steps and drafts cost. `cache` must not be in use.
    pub(crate) fn new(
        options: &SpeculationOptions,
        mut drafter: Box<dyn Drafter>,
        (decoder, cache): (&dyn Forward, &mut PagedCache),
        (scheduler, vocab_size): (&Scheduler, usize),
    ) -> Result<Self, LoadError> {
        if options.max_draft_len == 0 || options.max_draft_len > MAX_DRAFT_LEN {
            let reason = format!("{}, expected 1 to {MAX_DRAFT_LEN}", options.max_draft_len);
            return Err(LoadError::Option { option: "speculation.max_draft_len", reason });
        }
        let measured = match options.costs {
            Costs::Given(costs) => costs,
            Costs::Measured => CostTable::measure(decoder, cache, &mut *drafter, vocab_size)?,
        };
        let max_draft_len = options.max_draft_len.min(scheduler.max_draft_len());
        Ok(Self {
            drafter,
            verification: options.verification,
            max_draft_len,
            costs: options.costs,
            measured,
            prior: PRIOR,
            proposals: BTreeMap::new(),
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.drafter.name()
    }

    pub(crate) fn extend(&mut self, drafts: &mut [Draft]) -> Result<(), DraftError> {
        self.drafter.extend(drafts)
    }

    pub(crate) fn verification(&self) -> Verification {
        self.verification
    }

    /// Whether drafted tokens take part in the choice.
    pub(crate) fn rejects(&self) -> bool {
        self.verification == Verification::Rejection
    }

    pub(crate) fn max_draft_len(&self) -> usize {
        self.max_draft_len
    }

    /// What steps cost; none that a clock has measured, where drafts are binding.
    pub(crate) fn costs(&self, is_binding: bool) -> &CostTable {
        const UNMEASURED: CostTable = CostTable::UNMEASURED;
        match self.costs {
            Costs::Measured if is_binding => &UNMEASURED,
            Costs::Measured | Costs::Given(_) => &self.measured,
        }
    }

    /// The share of drafted tokens that a new request may expect to be accepted.
    pub(crate) fn prior(&self) -> f64 {
        self.prior
    }

    /// Notes what became of a draft, where that may show in the length of others.
    pub(crate) fn learn(&mut self, num_accepted: usize, was_refuted: bool) {
        if self.rejects() {
            return;
        }
        let seen = std::iter::repeat_n(1.0, num_accepted).chain(was_refuted.then_some(0.0));
        seen.for_each(|accepted| self.prior += LEARNING_RATE * (accepted - self.prior));
    }

    /// Keeps a draft until a step has verified it.
    pub(crate) fn keep(&mut self, id: SequenceId, proposals: Vec<Proposal>) {
        self.proposals.insert(id, proposals);
    }

    /// Takes it back.
    pub(crate) fn take(&mut self, id: SequenceId) -> Vec<Proposal> {
        self.proposals.remove(&id).unwrap_or_default()
    }

    /// Forgets a sequence.
    pub(crate) fn forget(&mut self, id: SequenceId) {
        self.proposals.remove(&id);
        self.drafter.forget(id);
    }
}
