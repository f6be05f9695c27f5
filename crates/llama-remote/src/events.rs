//! What is reported: each event is a function here, and a section of this page.
//!
#![doc = include_str!("events.md")]

use std::{fmt::Debug, time::Duration};

use tracing::{debug, info, warn};

use crate::pool::Failure;

pub(crate) fn endpoint_out(url: &str, failure: Failure) {
    let failure = match failure {
        Failure::Unreachable => "unreachable",
        Failure::Faulty => "faulty",
    };
    warn!(name: "endpoint.out", url, failure, "endpoint is out");
}

pub(crate) fn endpoint_back(url: &str) {
    info!(name: "endpoint.back", url, "endpoint is back");
}

pub(crate) fn request_repeated(path: &str, round: usize, pause: Duration, error: &dyn Debug) {
    let pause_ms = pause.as_secs_f64() * 1e3;
    debug!(name: "request.repeated", path, round, pause_ms, ?error, "asking again");
}

pub(crate) fn answer_not_stopped(error: &dyn Debug) {
    debug!(name: "answer.not_stopped", ?error, "an answer could not be stopped");
}

pub(crate) fn context_not_released(error: &dyn Debug) {
    debug!(name: "context.not_released", ?error, "a context could not be let go");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_page::{documented, emitted};

    const PAGE: &str = include_str!("events.md");

    fn emit_all() {
        endpoint_out("http://host", Failure::Unreachable);
        endpoint_back("http://host");
        request_repeated("/v1/completions", 1, Duration::from_millis(3), &"reason");
        answer_not_stopped(&"reason");
        context_not_released(&"reason");
    }

    #[test]
    fn page_and_code_agree() {
        let emitted = emitted("llama_remote::events", emit_all);
        assert_eq!(documented(PAGE), emitted);
        let code = include_str!("events.rs").split("mod tests").next().unwrap_or_default();
        assert_eq!(code.matches("(name: \"").count(), emitted.len(), "all are emitted above");
    }
}
