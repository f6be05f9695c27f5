//! One step: plan, copy, forward, and what each span's result means.

use std::{
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use candle_core::Tensor;
use llama_engine::EngineError;
use llama_models::{Batch, ModelError, Output, Outputs};

use super::work::{Work, Worker};
use crate::{
    events,
    scheduler::{PlannedSpan, SequenceId, StepPlan},
    worker::generation::Verdict,
};

impl Worker {
    /// Runs one step, if there is anything to run.
    pub(super) fn step(&mut self) {
        self.draft_ahead();
        let plan = self.scheduler.plan();
        self.counts.num_preemptions += plan.preempted.len() as u64;
        for refusal in &plan.refused {
            self.refuse(*refusal);
        }
        if plan.spans.is_empty() {
            if self.work.is_empty() {
                self.report_usage();
            }
            return;
        }
        for span in &plan.spans {
            self.note_started(span.id, span.positions.start);
        }
        // Masks and logits are computed at the same time.
        self.lend_constraints(&plan);
        let computed = self.forward(&plan);
        self.take_masks();
        let (took, tokens) = self.note_step(&plan);
        match computed {
            Ok(outputs) => {
                self.scheduler.complete(&plan.spans);
                for (span, output) in plan.spans.iter().zip(outputs) {
                    self.take_output(span, output);
                }
            }
            Err(failure) => self.fail_step(&plan, &failure),
        }
        events::step_finished(&tokens, took);
        self.report_usage();
    }

    /// Has the masks computed that the step's logits will need.
    fn lend_constraints(&mut self, plan: &StepPlan) {
        for span in plan.spans.iter().filter(|span| span.output != Output::Nothing) {
            if !self.is_last(span) {
                continue;
            }
            let Some(Work::Generate(samples)) = self.work.get_mut(&span.id) else {
                continue;
            };
            for (sample_idx, sample) in samples.iter_mut().enumerate() {
                let lent = sample.lend_constraint();
                let masked = lent.and_then(|constraint| self.masks.lend((span.id, sample_idx), constraint));
                masked.into_iter().for_each(|masked| sample.take_mask(masked));
            }
        }
    }

    /// Takes the masks that were computed meanwhile.
    fn take_masks(&mut self) {
        for ((id, sample_idx), masked) in self.masks.collect() {
            if let Some(Work::Generate(samples)) = self.work.get_mut(&id) {
                samples[sample_idx].take_mask(masked);
            }
        }
    }

    /// Computes a plan.
    fn forward(&mut self, plan: &StepPlan) -> Result<Outputs, StepFailure> {
        let spans = plan.spans.iter().map(|span| self.scheduler.span(span)).collect();
        let (decoder, cache, block_len) = (&self.decoder, &mut self.cache, self.scheduler.pool().block_len());
        let computed = contained(|| -> Result<Outputs, ModelError> {
            for copy in &plan.copies {
                cache.copy_block(*copy)?;
            }
            decoder.forward(&Batch::new(spans, block_len)?, cache)
        });
        computed?.map_err(|error| StepFailure::Model(Arc::new(error)))
    }

    /// Ends every sequence of a failed step: what it wrote cannot be trusted.
    fn fail_step(&mut self, plan: &StepPlan, failure: &StepFailure) {
        for span in &plan.spans {
            self.fail(span.id, failure.errors());
        }
    }

    /// Hands one span's result to whoever wants it. What goes wrong here ends that one alone.
    fn take_output(&mut self, span: &PlannedSpan, output: Option<Tensor>) {
        let id = span.id;
        match (self.work.get(&id), output) {
            (Some(Work::Generate(_)), Some(logits)) => {
                if span.output == Output::AllLogits && span.num_drafted == 0 {
                    self.contain(id, |worker| worker.score_prompt(span, &logits));
                }
                // A prompt that could not be scored has ended.
                if self.is_last(span) {
                    for id in self.split_samples(id) {
                        self.contain(id, |worker| worker.take_logits(id, span, &logits));
                    }
                }
            }
            (Some(Work::Embed(_)), Some(states)) => {
                self.contain(id, |worker| worker.take_states(span, &states))
            }
            (Some(Work::Pin(_)), _) if self.is_last(span) => self.finish_pin(id),
            _ => debug_assert!(span.output == Output::Nothing, "{span:?} returned nothing"),
        }
    }

    /// Does a part of a step for one sequence, which ends if that fails.
    fn contain(&mut self, id: SequenceId, part: impl FnOnce(&mut Self) -> Result<(), EngineError>) {
        match contained(|| part(self)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.fail(id, iter::once(error)),
            Err(failure) => self.fail(id, failure.errors()),
        }
    }

    /// Notes what a span's logits say about the prompt, and reports it at its end: from there on, only the last row is
    /// wanted.
    ///
    /// # Shapes
    /// `logits`: `[t, v]`
    fn score_prompt(&mut self, span: &PlannedSpan, logits: &Tensor) -> Result<(), EngineError> {
        let logits = self.with_text(logits)?;
        let scores = self.scores.get_mut(&span.id).expect("all logits are for scores");
        scores.add(&logits, span.positions.start)?;
        if self.is_last(span)
            && let Some(scores) = self.scores.remove(&span.id)
            && let Some(Work::Generate(samples)) = self.work.get(&span.id)
        {
            let event = scores.finish();
            samples.iter().for_each(|sample| sample.report_prompt(event.clone()));
            self.scheduler.want_last_logits(span.id);
        }
        Ok(())
    }

    /// The logits of tokens that have text.
    ///
    /// # Shapes
    /// `logits`: `[t, padded v]`; result: `[t, v]`
    fn with_text(&self, logits: &Tensor) -> Result<Tensor, EngineError> {
        let narrowed = logits.dim(1).and_then(|v| logits.narrow(1, 0, self.vocab_size.min(v)));
        narrowed.map_err(|source| EngineError::Model(Box::new(source)))
    }

    /// Chooses what follows the last known token and, as long as the draft has it right, the drafted ones.
    ///
    /// # Shapes
    /// `logits`: `[t, v]`, of which the last row counts, and as many before it as were drafted.
    fn take_logits(
        &mut self,
        id: SequenceId,
        span: &PlannedSpan,
        logits: &Tensor,
    ) -> Result<(), EngineError> {
        let logits = self.with_text(logits)?;
        let mut verification = self.take_draft(id, span.num_drafted);
        let first_row = logits.dim(0).map(|t| t - 1 - span.num_drafted);
        let first_row = first_row.map_err(|source| EngineError::Model(Box::new(source)))?;
        let Some(Work::Generate(samples)) = self.work.get_mut(&id) else {
            return Ok(());
        };
        let [sample] = samples.as_mut_slice() else {
            unreachable!("the samples have been split");
        };
        let (num_chosen, end) = loop {
            let row = logits.get(first_row + verification.num_confirmed());
            let row = row.map_err(|source| EngineError::Model(Box::new(source)))?; // [v]
            let tokens = self.scheduler.tokens(id).expect("a sequence that was computed is here");
            let (tokens, end) = match sample.advance(&row, tokens, verification.proposal())? {
                Verdict::Continue(tokens) => (tokens, None),
                Verdict::End(reason, tokens) => (tokens, Some(reason)),
            };
            tokens.iter().for_each(|&token| self.scheduler.append(id, token));
            if !verification.goes_on(&tokens) || end.is_some() {
                break (tokens.len(), end);
            }
        };
        self.note_chosen(id, num_chosen);
        if span.num_drafted > 0 {
            self.scheduler.settle(id);
            self.settle_draft(id, &verification);
        }
        if let Some(reason) = end {
            self.finish_generation(id, 0, reason);
        }
        Ok(())
    }

    /// # Shapes
    /// `states`: `[t, e]`
    fn take_states(&mut self, span: &PlannedSpan, states: &Tensor) -> Result<(), EngineError> {
        if let Some(Work::Embed(embedding)) = self.work.get_mut(&span.id) {
            embedding.add(states, span.positions.start)?;
        }
        if self.is_last(span)
            && let Some(Work::Embed(embedding)) = self.end(span.id)
        {
            embedding.finish();
        }
        Ok(())
    }

    /// Whether a span ends with the last token known.
    fn is_last(&self, span: &PlannedSpan) -> bool {
        self.scheduler.tokens(span.id).map(<[u32]>::len) == Some(span.positions.end - span.num_drafted)
    }
}

/// Does a part of a step. A panic inside becomes an error: it must not take the other sequences along.
pub(super) fn contained<T>(part: impl FnOnce() -> T) -> Result<T, StepFailure> {
    catch_unwind(AssertUnwindSafe(part)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
        StepFailure::Panic(text.to_owned())
    })
}

/// Why a step failed. One failure can end several requests, so it can be cloned.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum StepFailure {
    #[error(transparent)]
    Model(#[from] Arc<ModelError>),
    #[error("panic: {0}")]
    Panic(String),
}

impl StepFailure {
    /// As many errors as there are requests to tell.
    pub(super) fn errors(&self) -> impl Iterator<Item = EngineError> + '_ {
        iter::repeat_with(|| EngineError::Model(Box::new(self.clone())))
    }
}
