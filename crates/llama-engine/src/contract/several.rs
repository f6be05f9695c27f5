//! Clauses on several generations: samples of one prompt, priorities, deadlines.

use std::time::Duration;

use super::answer::{accepted, ask, exactly, join, listen, random};
use crate::{EngineError, FinishReason, LlamaEngine, Priority};

const PROMPT: &str = "KING LEAR.\nBlow, winds, and crack your cheeks!";

/// Several samples of one request answer as that many requests, each with its own seed, and do not need each other.
///
/// # Panics
/// If the engine breaks this.
pub async fn samples_answer_as_requests<E: LlamaEngine>(engine: &E) {
    let request = exactly(12, PROMPT).with_sampling(random(40)).with_logprobs(1);
    let mut alone = Vec::new();
    for i in 0..5 {
        alone.push(ask(engine, request.clone().for_sample(i)).await);
    }
    let streams = accepted(engine.generate_n(request.clone(), 5).await);
    assert_eq!(streams.len(), 5, "streams for 5 samples");
    let together = join(streams.into_iter().map(listen)).await;
    for (i, (alone, together)) in alone.iter().zip(&together).enumerate() {
        assert_eq!(alone.events, together.events, "sample {i} of 5");
        assert_eq!(alone.finished.usage.completion_tokens, together.finished.usage.completion_tokens);
    }
    let mut rest = accepted(engine.generate_n(request.clone(), 5).await);
    drop(rest.remove(3));
    drop(rest.remove(0));
    for (i, rest) in [1, 2, 4].into_iter().zip(join(rest.into_iter().map(listen)).await) {
        assert_eq!(alone[i].events, rest.events, "sample {i} without samples 0 and 3");
    }
    let none = engine.generate_n(request, 0).await;
    assert!(matches!(none, Err(EngineError::InvalidRequest { .. })), "no samples: {none:?}");
}

/// A priority decides who waits, never what is answered.
///
/// # Panics
/// If the engine breaks this.
pub async fn priorities_change_no_answer<E: LlamaEngine>(engine: &E) {
    let request = |i: usize| exactly(6 + i, PROMPT).with_sampling(random(i as u64));
    let mut alone = Vec::new();
    for i in 0..8 {
        alone.push(ask(engine, request(i)).await);
    }
    let urgent = (0..8).map(|i| ask(engine, request(i).with_priority(Priority((i as i8 - 4) * 30))));
    for (i, (alone, urgent)) in alone.iter().zip(join(urgent).await).enumerate() {
        assert_eq!(alone.events, urgent.events, "request {i}, with a priority of its own");
    }
}

/// After its deadline a request ends with what there is; one that is met changes nothing.
///
/// # Panics
/// If the engine breaks this.
pub async fn deadlines_end_the_answer<E: LlamaEngine>(engine: &E) {
    let whole = ask(engine, exactly(16, PROMPT)).await;
    let met = ask(engine, exactly(16, PROMPT).with_deadline(Duration::MAX)).await;
    assert_eq!(
        (met.tokens(), met.finished.reason),
        (whole.tokens(), FinishReason::MaxTokens),
        "a late deadline"
    );
    for micros in [0, 300, 3000] {
        let len = engine.info().context_len / 2;
        let request = exactly(len, PROMPT).with_deadline(Duration::from_micros(micros));
        let cut = ask(engine, request).await;
        if cut.events.len() < len {
            assert_eq!(cut.finished.reason, FinishReason::Deadline, "after {} tokens", cut.events.len());
            let shared = cut.events.len().min(16);
            assert_eq!(cut.tokens()[..shared], whole.tokens()[..shared], "up to the deadline");
        }
        assert!(micros > 0 || cut.events.is_empty(), "{} tokens without any time", cut.events.len());
    }
}
