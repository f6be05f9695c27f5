//! What is measured of each request.
//!
//! Whoever answers a request tells its [`RequestObserver`] what happens; what is made of that is decided here alone.

use std::time::Instant;

use llama_engine::{Event, FinishReason};

/// Follows one request from its arrival to its end; dropped early if the client leaves.
pub(crate) struct RequestObserver {
    route: &'static str,
    arrived: Instant,
    num_tokens: u64,
    num_finished: u64,
}

impl RequestObserver {
    /// A request to this route has arrived.
    pub(crate) fn begin(route: &'static str) -> Self {
        Self { route, arrived: Instant::now(), num_tokens: 0, num_finished: 0 }
    }

    /// The engine says something on one of its answers.
    pub(crate) fn event(&mut self, event: &Event) {
        match event {
            Event::Token(_) => self.num_tokens += 1,
            Event::Finished(finished) => {
                self.num_finished += u64::from(finished.reason != FinishReason::Interrupted);
            }
            Event::Prompt(_) | Event::Citation(_) => {}
        }
    }
}

impl Drop for RequestObserver {
    fn drop(&mut self) {
        tracing::debug!(
            name: "server.request",
            route = self.route,
            tokens = self.num_tokens,
            finished = self.num_finished,
            total_ms = self.arrived.elapsed().as_secs_f64() * 1e3,
            "request ended"
        );
    }
}
