//! One step: plan, copy, forward, and what each span's result means.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use candle_core::Tensor;
use llama_engine::EngineError;
use llama_models::{Batch, ModelError, Output, Outputs};

use super::work::{Work, Worker};
use crate::{
    events,
    scheduler::{PlannedSpan, StepPlan},
    worker::generation::Verdict,
};

impl Worker {
    /// Runs one step, if there is anything to run.
    pub(super) fn step(&mut self) {
        let plan = self.scheduler.plan();
        self.num_preemptions += plan.preempted.len() as u64;
        for refusal in &plan.refused {
            self.refuse(*refusal);
        }
        if plan.spans.is_empty() {
            return;
        }
        for span in &plan.spans {
            self.note_started(span.id, span.positions.start);
        }
        match self.forward(&plan) {
            Ok(outputs) => {
                self.scheduler.complete(&plan.spans);
                for (span, output) in plan.spans.iter().zip(outputs) {
                    match contained(|| self.take_output(span, output)) {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => self.fail(span.id, error),
                        Err(failure) => self.fail(span.id, EngineError::Model(Box::new(failure))),
                    }
                }
            }
            Err(failure) => self.fail_step(&plan, &failure),
        }
        events::kv_usage(&self.scheduler);
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
            self.fail(span.id, EngineError::Model(Box::new(failure.clone())));
        }
    }

    /// Hands one span's result to whoever wants it.
    fn take_output(&mut self, span: &PlannedSpan, output: Option<Tensor>) -> Result<(), EngineError> {
        let is_last = self.scheduler.tokens(span.id).map(<[u32]>::len) == Some(span.positions.end);
        let Some(work) = self.work.get_mut(&span.id) else {
            return Ok(());
        };
        match (work, output) {
            (Work::Generate(generation), Some(logits)) => {
                let row = logits.get(0).and_then(|row| row.narrow(0, 0, self.vocab_size.min(row.dim(0)?)));
                let row = row.map_err(|source| EngineError::Model(Box::new(source)))?; // [v]
                match generation.advance(&row)? {
                    Verdict::Continue(token) => self.scheduler.append(span.id, token),
                    Verdict::End(reason, token) => {
                        if let Some(token) = token {
                            self.scheduler.append(span.id, token);
                        }
                        self.finish_generation(span.id, reason);
                    }
                }
            }
            (Work::Embed(embedding), Some(states)) => {
                embedding.add(&states, span.positions.start)?;
                if is_last && let Some(Work::Embed(embedding)) = self.end(span.id) {
                    embedding.finish();
                }
            }
            (Work::Pin(_), _) if is_last => self.finish_pin(span.id),
            (Work::Generate(_) | Work::Embed(_) | Work::Pin(_), _) => {
                debug_assert!(span.output == Output::Nothing, "{span:?} returned nothing");
            }
        }
        Ok(())
    }
}

/// Does a part of a step. A panic inside becomes an error: it must not take the other sequences along.
fn contained<T>(part: impl FnOnce() -> T) -> Result<T, StepFailure> {
    catch_unwind(AssertUnwindSafe(part)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
        StepFailure::Panic(text.to_owned())
    })
}

/// Why a step failed. One failure can end several requests, so it can be cloned.
#[derive(Clone, Debug, thiserror::Error)]
enum StepFailure {
    #[error(transparent)]
    Model(#[from] Arc<ModelError>),
    #[error("panic: {0}")]
    Panic(String),
}
