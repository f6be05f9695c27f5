//! A step's time, shared out among those it was for.

use std::time::Duration;

use super::{
    Generation,
    work::{Work, Worker},
};
use crate::{
    energy::Phase,
    events::{self, StepTokens},
    scheduler::StepPlan,
};

impl Worker {
    /// Attributes the time since the step before, by tokens. Says how long that was, and what it was for.
    pub(super) fn note_step(&mut self, plan: &StepPlan) -> (Duration, StepTokens) {
        let took = self.counts.meter.lap();
        let num_tokens = plan.spans.iter().map(|span| span.positions.len()).sum::<usize>().max(1);
        let mut tokens = StepTokens { sequences: plan.spans.len(), ..StepTokens::default() };
        for span in &plan.spans {
            let span_len = span.positions.len();
            let share = took.mul_f64(span_len as f64 / num_tokens as f64);
            let phase = match self.work.get_mut(&span.id) {
                Some(Work::Generate(samples)) => spend(samples, share),
                Some(Work::Embed(_)) => Phase::Embed,
                Some(Work::Pin(_)) => Phase::Prefill,
                None => continue,
            };
            self.counts.meter.add(phase, share);
            match phase {
                Phase::Prefill => tokens.prefill += span_len,
                Phase::Decode => tokens.decode += span_len,
                Phase::Embed => tokens.embed += span_len,
            }
        }
        if let Some(watts) = self.counts.meter.news() {
            for work in self.work.values_mut() {
                if let Work::Generate(samples) = work {
                    samples.iter_mut().for_each(|sample| sample.energy.price(watts));
                }
            }
        }
        (took, tokens)
    }

    /// Tells what the cache holds and who waits, if that is news: most steps of a long answer change nothing.
    pub(super) fn report_usage(&mut self) {
        if !events::debug_is_heard() {
            return;
        }
        let mut stats = self.stats();
        // Changes with every token, and is not told.
        stats.cache.wasted_slots = 0;
        if self.counts.told != Some(stats) {
            events::kv_usage(&stats);
            self.counts.told = Some(stats);
        }
    }
}

/// Samples that share a prompt share its cost.
fn spend(samples: &mut [Generation], share: Duration) -> Phase {
    let each = share / samples.len() as u32;
    let has_begun = samples.iter().any(|sample| sample.usage.completion_tokens > 0);
    let phase = if has_begun { Phase::Decode } else { Phase::Prefill };
    samples.iter_mut().for_each(|sample| sample.energy.spend(phase, each));
    phase
}
