//! Clauses on plain generation: repeatable, independent, complete, counted.

use super::answer::{Answer, accepted, ask, exactly, join, random, tokens_of};
use crate::{FinishReason, GenerateRequest, LlamaEngine, Prompt};

const PROMPTS: [&str; 4] = ["HAMLET.\nTo be, or", "The king", "O Romeo,", "Once upon a time there was"];

/// What an engine says of itself is possible, does not change, and fits what it does.
///
/// # Panics
/// If the engine breaks this.
pub async fn info_is_consistent<E: LlamaEngine>(engine: &E) {
    let info = engine.info().clone();
    for (name, size) in [
        ("context_len", info.context_len),
        ("vocab_size", info.vocab_size),
        ("embedding.len", info.embedding.len),
        ("embedding.max_tokens", info.embedding.max_tokens),
        ("block_len", info.block_len),
    ] {
        assert!(size > 0, "{name} is 0 in {info:?}");
    }
    assert!(!info.model.is_empty() && !info.device.is_empty(), "a name is empty in {info:?}");
    let answer = ask(engine, exactly(4, PROMPTS[0])).await;
    assert!(answer.tokens().iter().all(|&token| (token as usize) < info.vocab_size), "{:?}", answer.tokens());
    assert_eq!(*engine.info(), info, "info changes");
}

/// A greedy request gives the same tokens every time.
///
/// # Panics
/// If the engine breaks this.
pub async fn greedy_is_repeatable<E: LlamaEngine>(engine: &E) {
    for prompt in PROMPTS {
        let first = ask(engine, exactly(16, prompt)).await;
        let second = ask(engine, exactly(16, prompt)).await;
        assert_eq!(first.tokens(), second.tokens(), "{prompt:?}");
    }
}

/// One seed gives the same tokens every time; several seeds give several answers.
///
/// # Panics
/// If the engine breaks this.
pub async fn seeds_decide<E: LlamaEngine>(engine: &E) {
    let request = |seed| exactly(16, PROMPTS[0]).with_sampling(random(seed));
    let mut answers = Vec::new();
    for seed in 0..6 {
        let first = ask(engine, request(seed)).await.tokens();
        assert_eq!(first, ask(engine, request(seed)).await.tokens(), "seed {seed}");
        answers.push(first);
    }
    answers.sort();
    answers.dedup();
    assert!(answers.len() > 1, "six seeds, one answer: {answers:?}");
}

/// What a request is answered does not depend on what else runs.
///
/// # Panics
/// If the engine breaks this.
pub async fn concurrent_requests_answer_as_alone<E: LlamaEngine>(engine: &E) {
    let requests: Vec<GenerateRequest> = (0..12)
        .map(|i| {
            let request = exactly(4 + i, PROMPTS[i % PROMPTS.len()]).with_logprobs(0);
            if i.is_multiple_of(3) { request } else { request.with_sampling(random(i as u64)) }
        })
        .collect();
    let mut alone = Vec::new();
    for request in &requests {
        alone.push(ask(engine, request.clone()).await);
    }
    let together = join(requests.into_iter().map(|request| ask(engine, request))).await;
    for (i, (alone, together)) in alone.iter().zip(&together).enumerate() {
        assert_eq!(alone.events, together.events, "request {i}: alone, and beside others");
        assert_eq!(alone.finished.reason, together.finished.reason, "request {i}");
    }
}

/// The texts of all tokens and of the end are the text of the tokens.
///
/// # Panics
/// If the engine breaks this.
pub async fn texts_make_up_the_answer<E: LlamaEngine>(engine: &E) {
    for seed in 0..8 {
        let prompt = PROMPTS[seed as usize % PROMPTS.len()];
        let answer =
            ask(engine, GenerateRequest::new(prompt).with_max_tokens(24).with_sampling(random(seed))).await;
        let expected = accepted(engine.detokenize(&answer.tokens()).await);
        assert_eq!(answer.text(), expected, "seed {seed}, tokens {:?}", answer.tokens());
    }
}

/// An answer has at most `max_tokens` tokens, and says so when it ends for that; a longer one begins the same way.
///
/// # Panics
/// If the engine breaks this.
pub async fn max_tokens_is_kept<E: LlamaEngine>(engine: &E) {
    let long = ask(engine, exactly(20, PROMPTS[1])).await;
    for len in [1, 2, 7, 20] {
        let answer = ask(engine, exactly(len, PROMPTS[1])).await;
        assert_eq!(answer.tokens(), long.tokens()[..len], "max_tokens {len}");
        assert_eq!(answer.finished.reason, FinishReason::MaxTokens, "max_tokens {len}");
    }
    let mut request = exactly(1, Prompt::Tokens(vec![0; engine.info().context_len - 3]));
    request.max_tokens = None;
    let answer = ask(engine, request).await;
    assert_eq!(answer.tokens().len(), 3, "without max_tokens, three places before the context's end");
    assert_eq!(answer.finished.reason, FinishReason::MaxTokens, "at the context's end");
}

/// Usage counts what went in and came out, and times are in order.
///
/// # Panics
/// If the engine breaks this.
pub async fn usage_counts<E: LlamaEngine>(engine: &E) {
    let tokens = tokens_of(engine, PROMPTS[3]).await;
    for len in [1, 9] {
        let Answer { events, finished, .. } = ask(engine, exactly(len, Prompt::Tokens(tokens.clone()))).await;
        let usage = finished.usage;
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (tokens.len(), len), "{usage:?}");
        assert_eq!(events.len(), len, "{usage:?}");
        assert!(usage.cached_tokens < usage.prompt_tokens, "the last token's logits are computed: {usage:?}");
        let times = finished.timings;
        assert!(
            times.queued <= times.time_to_first_token && times.time_to_first_token <= times.total,
            "{times:?}"
        );
    }
    let text = ask(engine, exactly(1, PROMPTS[3])).await.finished.usage;
    assert!(text.prompt_tokens >= tokens.len(), "{text:?} for {tokens:?}");
}

/// Log-probabilities come when asked for: the chosen token first, then as many alternatives as asked for, falling,
/// with no more than all probability.
///
/// # Panics
/// If the engine breaks this.
pub async fn logprobs_are_a_distribution<E: LlamaEngine>(engine: &E) {
    let without = ask(engine, exactly(4, PROMPTS[0])).await;
    assert!(
        without.events.iter().all(|event| event.logprobs.is_none()),
        "log-probabilities that nobody asked for"
    );
    for (num_alternatives, sampling) in [(0, random(1)), (5, random(2)), (5, random(3))] {
        let request = exactly(8, PROMPTS[0]).with_sampling(sampling).with_logprobs(num_alternatives);
        for event in ask(engine, request).await.events {
            let entries = event.logprobs.unwrap_or_default();
            assert_eq!(entries.len(), 1 + num_alternatives, "{entries:?}");
            let (chosen, alternatives) = (&entries[0], &entries[1..]);
            assert_eq!(chosen.id, event.id, "{entries:?}");
            assert!(entries.iter().all(|entry| entry.logprob <= 0.0), "{entries:?}");
            assert!(alternatives.is_sorted_by(|a, b| a.logprob >= b.logprob), "{entries:?}");
            let mass: f32 = alternatives.iter().map(|entry| entry.logprob.exp()).sum();
            assert!(mass <= 1.0 + 1e-4, "{mass} in {entries:?}");
            let same = alternatives.iter().find(|entry| entry.id == chosen.id);
            assert!(same.is_none_or(|same| same.logprob == chosen.logprob), "{entries:?}");
        }
    }
    let greedy = ask(engine, exactly(8, PROMPTS[0]).with_logprobs(1)).await;
    for entries in greedy.events.into_iter().filter_map(|event| event.logprobs) {
        assert_eq!(entries[0], entries[1], "the greedy token is the most likely one");
    }
}
