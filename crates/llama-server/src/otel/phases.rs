//! The parts of an answer's time, as spans under the request's.

use std::time::{Duration, SystemTime};

use llama_engine::Timings;
use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;

/// When an answer's parts began, reckoned back from its end: an engine tells how long they took.
pub(super) struct Phases {
    arrived: SystemTime,
    first_step: SystemTime,
    first_token: SystemTime,
    end: SystemTime,
}

impl Phases {
    /// Of an answer that has just ended, to a request that arrived then.
    pub(super) fn new(arrived: SystemTime, end: SystemTime, timings: &Timings) -> Self {
        let before_end = |from_arrival: Duration| {
            let left = timings.total.saturating_sub(from_arrival);
            end.checked_sub(left).unwrap_or(end).max(arrived)
        };
        let (first_step, first_token) = (before_end(timings.queued), before_end(timings.time_to_first_token));
        Self { arrived, first_step, first_token, end }
    }

    /// From the request's arrival to the first step: reading, waiting for a place, waiting in the engine.
    pub(super) fn queued(&self) -> Duration {
        self.first_step.duration_since(self.arrived).unwrap_or_default()
    }

    /// Tells them. What the samples of a prompt have in common is told once.
    pub(super) fn tell(
        &self,
        tracer: &SdkTracer,
        request: &Context,
        (answer_idx, shares_prompt): (usize, bool),
    ) {
        let all = [
            ("queue", self.arrived, self.first_step),
            ("prefill", self.first_step, self.first_token),
            ("decode", self.first_token, self.end),
        ];
        for (name, from, to) in &all[if shares_prompt { 2 } else { 0 }..] {
            let answer = KeyValue::new("llama.answer", answer_idx as i64);
            let span = tracer.span_builder(*name).with_start_time(*from).with_attributes([answer]);
            span.start_with_context(tracer, request).end_with_timestamp(*to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_and_never_begin_before_the_request() {
        let (arrived, ms) = (SystemTime::UNIX_EPOCH, Duration::from_millis);
        let timings = Timings { queued: ms(5), time_to_first_token: ms(20), total: ms(100) };
        let phases = Phases::new(arrived, arrived + ms(130), &timings);
        assert_eq!((phases.first_step, phases.first_token), (arrived + ms(35), arrived + ms(50)));
        assert_eq!(phases.queued(), ms(35), "30 before the engine had it, 5 there");
        let phases = Phases::new(arrived, arrived + ms(50), &timings);
        assert_eq!((phases.first_step, phases.queued()), (arrived, ms(0)), "clocks may be set back");
    }
}
