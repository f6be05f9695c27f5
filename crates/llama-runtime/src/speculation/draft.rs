//! One sequence's draft while it grows: it takes only tokens that could come.

use candle_core::Tensor;
use llama_sampling::{Constraint, History, Proposal, Sampler};

use super::{DraftError, Verification};
use crate::{scheduler::SequenceId, worker::Ends};

/// What is known about a sequence that is drafted ahead.
pub(crate) struct DraftSpec {
    pub(crate) id: SequenceId,
    /// All its tokens.
    pub(crate) tokens: Vec<u32>,
    /// Those of them before the answer.
    pub(crate) prompt_len: usize,
    /// Most tokens to draft.
    pub(crate) most: usize,
    /// A copy: what it learns from drafted tokens goes with the draft.
    pub(crate) sampler: Sampler,
    /// A copy, likewise.
    pub(crate) constraint: Option<Constraint>,
    pub(crate) ends: Ends,
    pub(crate) vocab_size: usize,
    pub(crate) verification: Verification,
}

/// A sequence and the tokens drafted for it so far.
pub struct Draft {
    spec: DraftSpec,
    proposals: Vec<Proposal>,
    /// Nothing can follow.
    is_over: bool,
}

impl Draft {
    pub(crate) fn new(spec: DraftSpec) -> Self {
        Self { spec, proposals: Vec::new(), is_over: false }
    }

    /// Names the sequence, from its first draft to [`super::Drafter::forget`].
    pub fn sequence(&self) -> SequenceId {
        self.spec.id
    }

    /// All tokens of the sequence, drafted ones included.
    pub fn tokens(&self) -> &[u32] {
        &self.spec.tokens
    }

    /// Drafted tokens.
    pub fn num_drafted(&self) -> usize {
        self.proposals.len()
    }

    /// Most tokens that it takes.
    pub fn max_len(&self) -> usize {
        self.spec.most
    }

    /// Whether it takes more.
    pub fn wants_more(&self) -> bool {
        !self.is_over && self.proposals.len() < self.spec.most
    }

    /// Proposes a token. Says whether it was taken: not if the draft is long enough, if the token does not exist, if the
    /// grammar does not allow it or if it ends the answer; then the draft is over.
    pub fn push(&mut self, token: u32) -> bool {
        self.add(Proposal::chosen(token))
    }

    /// Proposes what the request's own sampler makes of another model's logits, grammar included. Says whether a token
    /// was taken, as [`Draft::push`].
    ///
    /// # Shapes
    /// `logits`: `[v]` in f32, with the vocabulary of the model; more are ignored.
    ///
    /// # Errors
    /// Logits that are no numbers, or too few of them. The draft is over then.
    pub fn push_from(&mut self, logits: &Tensor) -> Result<bool, DraftError> {
        if !self.wants_more() {
            return Ok(false);
        }
        // Until something comes of it.
        self.is_over = true;
        let v = self.spec.vocab_size;
        let logits = logits.narrow(0, 0, v)?; // [v]
        let allowed = match &mut self.spec.constraint {
            Some(constraint) => match constraint.mask() {
                Ok(mask) => mask.masked(&logits)?,
                // What cannot go on here, the answer's own constraint will report.
                Err(_) => return Ok(false),
            },
            None => logits,
        };
        let history = History::new(&self.spec.tokens, self.spec.prompt_len);
        let proposal = match self.spec.verification {
            // The draw that the target will make: the same number, so that close distributions give the same token.
            Verification::Matching => Proposal::chosen(self.spec.sampler.sample(&allowed, &history)?),
            Verification::Rejection => self.spec.sampler.draft(&allowed, &history)?,
        };
        self.is_over = false;
        Ok(self.add(proposal))
    }

    fn add(&mut self, proposal: Proposal) -> bool {
        let is_taken = self.wants_more() && self.follow(proposal.token);
        match is_taken {
            true => self.proposals.push(proposal),
            false => self.is_over = true,
        }
        is_taken
    }

    /// Goes on with a token, if it can come here.
    fn follow(&mut self, token: u32) -> bool {
        let DraftSpec { tokens, sampler, constraint, ends, vocab_size, .. } = &mut self.spec;
        if token as usize >= *vocab_size || ends.contains(token) {
            return false;
        }
        if constraint.as_mut().is_some_and(|constraint| constraint.accept(token).is_err()) {
            return false;
        }
        tokens.push(token);
        // A processor that fails fails again where it is heard.
        let is_accepted = sampler.accept(token).is_ok();
        self.is_over |= !is_accepted || constraint.as_ref().is_some_and(Constraint::is_complete);
        true
    }

    /// What was drafted.
    pub(crate) fn into_proposals(self) -> (SequenceId, Vec<Proposal>) {
        (self.spec.id, self.proposals)
    }
}
