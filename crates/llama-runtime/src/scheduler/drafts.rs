//! Drafts: spans of a known token and those that may follow it, of which only some turn out to be true.
//!
//! Invariant: a table's length never counts a drafted position before it is settled, so nobody shares one.

use llama_models::Output;

use super::{Draft, DraftTerms, Scheduler, SequenceId, StepPlan, queue::MAX_LOGIT_ROWS};

impl Scheduler {
    /// Running sequences that lack one token, and so can verify a draft with it; those that have a draft are left out.
    /// In order, and no more than a step can take.
    pub fn decoding(&self) -> Vec<SequenceId> {
        let decoding = self.running.iter().filter(|(_, running)| {
            running.num_pending() == 1
                && running.output == Output::LastLogits
                && running.draft.tokens.is_empty()
        });
        decoding.map(|(id, _)| *id).take(self.config.max_step_tokens).collect()
    }

    /// Whether a sequence's last token is computed in a span without those before it, even after a preemption.
    pub fn is_apart(&self, id: SequenceId) -> bool {
        self.running.get(&id).is_some_and(|running| running.is_apart)
    }

    /// Decides it.
    pub(crate) fn keep_apart(&mut self, id: SequenceId, is_apart: bool) {
        if let Some(running) = self.running.get_mut(&id) {
            running.is_apart = is_apart;
        }
        if let Some(entry) = self.waiting.get_mut(&id) {
            entry.is_apart = is_apart;
        }
    }

    /// Most tokens of a draft that a step can verify.
    pub fn max_draft_len(&self) -> usize {
        self.config.max_step_tokens.min(MAX_LOGIT_ROWS) - 1
    }

    /// Gives a running sequence a draft, which the next steps verify. It is gone if the sequence is preempted.
    ///
    /// # Panics
    /// If the draft is longer than [`Scheduler::max_draft_len`].
    pub fn attach(&mut self, id: SequenceId, draft: Draft) {
        assert!(draft.tokens.len() <= self.max_draft_len(), "a draft of {} tokens", draft.tokens.len());
        if let Some(running) = self.running.get_mut(&id) {
            running.draft = draft;
        }
    }

    /// After the tokens that follow were appended: what the draft had right stays cached, the rest is forgotten and gives
    /// its blocks back. The last token counts as not cached, as always.
    pub fn settle(&mut self, id: SequenceId) {
        let Some(running) = self.running.get_mut(&id) else {
            return;
        };
        let draft = std::mem::take(&mut running.draft);
        let known_len = running.table.len();
        let appended = &running.tokens[known_len..];
        let num_confirmed = draft.tokens.iter().zip(appended).take_while(|(a, b)| a == b).count();
        let len = (known_len + num_confirmed).min(running.tokens.len() - 1).max(known_len);
        self.pool.commit(&mut running.table, &running.tokens[..len]);
        self.pool.truncate(&mut running.table, len);
    }

    /// Plans the token that a sequence lacks, and its draft. Says whether there were blocks for it; a draft that has to
    /// wait for a step with more room counts as planned.
    pub(super) fn plan_draft(&mut self, id: SequenceId, plan: &mut StepPlan, budget: &mut usize) -> bool {
        let (is_alone, most) = (self.running.len() == 1, self.max_draft_len());
        let draft = &mut self.running.get_mut(&id).expect("only running sequences are planned").draft;
        let is_binding = draft.terms == DraftTerms::Binding;
        let room = match draft.tokens.len() {
            0 => 0,
            _ => {
                let num_drafted: usize = plan.spans.iter().map(|span| span.num_drafted).sum();
                (*budget - 1).min(most.saturating_sub(num_drafted))
            }
        };
        if is_binding && draft.tokens.len() > room {
            return true;
        }
        draft.tokens.truncate(room);
        let mut len = 1 + draft.tokens.len();
        let mut has_blocks = self.plan_span(id, len, plan);
        if !has_blocks && len > 1 && (!is_binding || is_alone) {
            self.attach(id, Draft::default());
            len = 1;
            has_blocks = self.plan_span(id, len, plan);
        }
        if has_blocks {
            *budget -= len;
        }
        has_blocks
    }
}
