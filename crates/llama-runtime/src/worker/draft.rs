//! Drafts on their way: from the drafter to the scheduler before a step, and against what is chosen after it.

use llama_sampling::Proposal;

use super::{
    Generation,
    step::contained,
    work::{Work, Worker},
};
use crate::{
    events,
    scheduler::{self, DraftTerms, SequenceId},
    speculation::{Ahead, Draft, DraftSpec, Prospect, Speculator},
};

/// A draft and how far it has turned out to be right.
#[derive(Default)]
pub(super) struct Verification {
    proposals: Vec<Proposal>,
    /// Whether proposals take part in the choice, or are only compared with it.
    takes_part: bool,
    num_confirmed: usize,
    was_refuted: bool,
}

impl Verification {
    /// Drafted tokens that were chosen: the number of the row to look at.
    pub(super) fn num_confirmed(&self) -> usize {
        self.num_confirmed
    }

    /// The next drafted token, if the choice depends on it.
    pub(super) fn proposal(&self) -> Option<&Proposal> {
        self.proposals.get(self.num_confirmed).filter(|_| self.takes_part)
    }

    /// Compares with the tokens chosen, none if the answer has ended before. Says whether there is a row for what follows
    /// them.
    pub(super) fn goes_on(&mut self, chosen: &[u32]) -> bool {
        let left = &self.proposals[self.num_confirmed..];
        let num_right =
            left.iter().zip(chosen).take_while(|(proposal, token)| proposal.token == **token).count();
        self.num_confirmed += num_right;
        self.was_refuted = num_right < left.len() && num_right < chosen.len().max(1);
        num_right == chosen.len() && !chosen.is_empty()
    }
}

impl Worker {
    /// Has drafts made for the sequences that lack one token, as far as they are worth it.
    pub(super) fn draft_ahead(&mut self) {
        let Some(speculator) = &mut self.speculator else {
            return;
        };
        let decoding = self.scheduler.decoding();
        let mut drafts = Vec::new();
        for &id in &decoding {
            let is_apart = self.scheduler.is_apart(id);
            if let (Some(Work::Generate(samples)), Some(tokens)) =
                (self.work.get_mut(&id), self.scheduler.tokens(id))
                && let [sample] = samples.as_mut_slice()
                && (is_apart || !sample.is_binding(speculator))
            {
                let spec = || (id, tokens, self.vocab_size);
                drafts.extend(sample.open_draft(spec(), (speculator, decoding.len())));
            }
        }
        if drafts.is_empty() {
            return;
        }
        // A drafter that fails costs its time, and nothing else.
        match contained(|| speculator.extend(&mut drafts)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => events::drafter_failed(speculator.name(), &error),
            Err(panic) => events::drafter_failed(speculator.name(), &panic),
        }
        for draft in drafts {
            let (id, proposals) = draft.into_proposals();
            if let Some(Work::Generate(samples)) = self.work.get_mut(&id)
                && let Some(terms) = samples[0].close_draft(&proposals, speculator)
            {
                let tokens = proposals.iter().map(|proposal| proposal.token).collect();
                self.scheduler.attach(id, scheduler::Draft { tokens, terms });
                speculator.keep(id, proposals);
            }
        }
    }

    /// Notes how many tokens were chosen at once. Where drafts are binding, a draft belongs to each that comes alone,
    /// whatever happens to its sequence before the next step.
    pub(super) fn note_chosen(&mut self, id: SequenceId, num_chosen: usize) {
        if let Some(speculator) = &self.speculator
            && let Some(Work::Generate(samples)) = self.work.get(&id)
            && samples[0].is_binding(speculator)
        {
            self.scheduler.keep_apart(id, num_chosen == 1);
        }
    }

    /// The draft that a step has verified: the first `len` tokens of what was drafted.
    pub(super) fn take_draft(&mut self, id: SequenceId, len: usize) -> Verification {
        let Some(speculator) = self.speculator.as_mut().filter(|_| len > 0) else {
            return Verification::default();
        };
        let mut proposals = speculator.take(id);
        proposals.truncate(len);
        Verification { proposals, takes_part: speculator.rejects(), ..Verification::default() }
    }

    /// Counts what became of a draft.
    pub(super) fn settle_draft(&mut self, id: SequenceId, verification: &Verification) {
        let Verification { proposals, num_confirmed, was_refuted, .. } = verification;
        if let Some(Work::Generate(samples)) = self.work.get_mut(&id) {
            samples[0].settle_draft(proposals.len(), (*num_confirmed, *was_refuted));
        }
        if let Some(speculator) = &mut self.speculator {
            speculator.learn(*num_confirmed, *was_refuted);
        }
        events::speculation_step(proposals.len(), *num_confirmed);
    }
}

impl Generation {
    /// A draft to be extended, if that is worth it.
    fn open_draft(
        &mut self,
        (id, tokens, vocab_size): (SequenceId, &[u32], usize),
        (speculator, num_sequences): (&Speculator, usize),
    ) -> Option<Draft> {
        let prospect = self.prospect(speculator, tokens.len(), num_sequences);
        let ahead = self.pace.ahead(&prospect, speculator.prior());
        let most = match ahead {
            Ahead::Nothing => return None,
            Ahead::Watch => 1,
            Ahead::Draft(len) => len,
        };
        // Copies for each draft, so that a drafter can go where it wants.
        Some(Draft::new(DraftSpec {
            id,
            tokens: tokens.to_vec(),
            prompt_len: self.spec.prompt_tokens,
            most,
            sampler: self.spec.sampler.clone(),
            constraint: self.spec.guide.as_mut().map(|guide| guide.trial()),
            ends: self.spec.ends.clone(),
            vocab_size,
            verification: speculator.verification(),
        }))
    }

    /// What is to become of what was drafted: to be verified on these terms, or not.
    fn close_draft(&mut self, proposals: &[Proposal], speculator: &Speculator) -> Option<DraftTerms> {
        if self.pace.is_watching() {
            self.pace.watch(proposals.first().map(|proposal| proposal.token));
            return None;
        }
        let is_binding = self.is_binding(speculator);
        let terms = if is_binding { DraftTerms::Binding } else { DraftTerms::Optional };
        (!proposals.is_empty()).then_some(terms)
    }

    fn prospect<'a>(&self, speculator: &'a Speculator, len: usize, num_sequences: usize) -> Prospect<'a> {
        let is_binding = self.is_binding(speculator);
        Prospect {
            costs: speculator.costs(is_binding),
            // Where the length shows in the answer, it must not depend on others.
            num_sequences: if is_binding { 1 } else { num_sequences },
            most: speculator.max_draft_len(),
            len,
            answer: (self.usage.completion_tokens, self.spec.max_tokens),
        }
    }

    /// Whether the length of a draft shows in the answer.
    fn is_binding(&self, speculator: &Speculator) -> bool {
        speculator.rejects() && self.spec.sampler.is_random()
    }

    fn settle_draft(&mut self, num_drafted: usize, (num_accepted, was_refuted): (usize, bool)) {
        self.usage.speculation.count(num_drafted, num_accepted);
        self.pace.settle(num_accepted, was_refuted);
    }
}
