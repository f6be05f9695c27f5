//! Clauses on what may change the model's choice, and on what the model thinks of the prompt.

use super::answer::{Answer, accepted, ask, exactly, join, random, tokens_of};
use crate::{
    Dry, DynamicTemperature, EngineError, FinishReason, GenerateRequest, LlamaEngine, Penalties, Prompt,
    Sampling, TokenLogprob, TokenRules, Xtc,
};

const PROMPT: &str = "HAMLET.\nTo be, or not to be, that is the question:";

/// Banned tokens never come, allowed ones alone do, and a bias of 100 decides; where nothing is left, that is an error.
///
/// # Panics
/// If the engine breaks this.
pub async fn token_rules_are_kept<E: LlamaEngine>(engine: &E) {
    let usual = ask(engine, exactly(12, PROMPT)).await.tokens();
    let with = |rules: TokenRules| exactly(12, PROMPT).with_rules(rules);
    let banned =
        ask(engine, with(TokenRules { banned: usual.clone(), ..TokenRules::default() })).await.tokens();
    assert!(banned.iter().all(|token| !usual.contains(token)), "{banned:?} without {usual:?}");
    let pair = [usual[1], usual[usual.len() - 1]];
    let allowed = TokenRules { allowed: Some(pair.to_vec()), ..TokenRules::default() };
    let allowed = ask(engine, with(allowed).with_sampling(random(3))).await.tokens();
    assert!(allowed.iter().all(|token| pair.contains(token)), "{allowed:?} of {pair:?} alone");
    let biased = TokenRules { bias: vec![(banned[0], 100.0)], ..TokenRules::default() };
    let biased = ask(engine, with(biased)).await.tokens();
    assert_eq!(biased, vec![banned[0]; 12], "with a bias of 100");
    let rules = TokenRules { allowed: Some(usual.clone()), banned: usual, ..TokenRules::default() };
    let nothing = match engine.generate(with(rules)).await {
        Ok(stream) => stream.collect().await,
        Err(error) => Err(error),
    };
    assert!(matches!(nothing, Err(EngineError::NoCandidate)), "{nothing:?} of no tokens");
}

/// A stop token ends the answer before itself; neither it nor a stop text counts before the least number of tokens.
///
/// # Panics
/// If the engine breaks this.
pub async fn stop_tokens_end_the_answer<E: LlamaEngine>(engine: &E) {
    let usual = ask(engine, exactly(16, PROMPT)).await;
    let tokens = usual.tokens();
    let stop = tokens[tokens.len() / 2];
    let at = tokens.iter().position(|&token| token == stop).unwrap_or_default();
    let with = |rules: TokenRules| exactly(16, PROMPT).with_rules(rules);
    let rules = TokenRules { stop: vec![stop], ..TokenRules::default() };
    let stopped = ask(engine, with(rules.clone())).await;
    assert_eq!(stopped.tokens(), tokens[..at], "before token {stop} of {tokens:?}");
    assert_eq!(stopped.finished.reason, FinishReason::StopToken(stop));
    let late = ask(engine, with(TokenRules { min_tokens: at + 3, ..rules })).await.tokens();
    assert!(late.len() >= at + 3, "{} tokens, at least {}", late.len(), at + 3);
    assert!(!late[..at + 3].contains(&stop), "{late:?} has {stop} before its time");
    let text: String = usual.events.iter().take(2).map(|event| event.text.as_str()).collect();
    let first = text.chars().next().unwrap_or('x').to_string();
    let rules = TokenRules { min_tokens: 5, ..TokenRules::default() };
    let unstopped = ask(engine, with(rules).with_stop(first.clone())).await;
    assert!(unstopped.tokens().len() >= 5, "{} tokens before {first:?} counts", unstopped.tokens().len());
    assert!(tokens.starts_with(&unstopped.tokens()), "a stop text changes no token");
}

/// Penalties make repetition rarer, also at temperature 0.
///
/// # Panics
/// If the engine breaks this.
pub async fn penalties_act<E: LlamaEngine>(engine: &E) {
    let different = |answer: &Answer| {
        let mut tokens = answer.tokens();
        tokens.sort_unstable();
        tokens.dedup();
        tokens.len()
    };
    let usual = different(&ask(engine, exactly(48, PROMPT)).await);
    for penalties in [
        Penalties { repetition: 2.0, ..Penalties::default() },
        Penalties { frequency: 2.0, ..Penalties::default() },
        Penalties { presence: 2.0, ..Penalties::default() },
        Penalties {
            dry: Some(Dry { multiplier: 4.0, allowed_len: 1, ..Dry::default() }),
            ..Penalties::default()
        },
    ] {
        let sampling = Sampling { penalties, ..Sampling::default() };
        let answer = ask(engine, exactly(48, PROMPT).with_sampling(sampling.clone())).await;
        let found = different(&answer);
        assert!(found > usual, "{found} different tokens instead of {usual} with {:?}", sampling.penalties);
    }
}

/// With every parameter at once, a seed still gives the same tokens, alone and beside others.
///
/// # Panics
/// If the engine breaks this.
pub async fn seeds_decide_with_all_parameters<E: LlamaEngine>(engine: &E) {
    let request = |i: usize| exactly(10 + i, PROMPT).with_sampling(everything(i as u64)).with_logprobs(2);
    let mut alone = Vec::new();
    for i in 0..6 {
        alone.push(ask(engine, request(i)).await);
    }
    assert!(
        alone.iter().any(|answer| answer.tokens()[..10] != alone[0].tokens()[..10]),
        "six seeds, one answer"
    );
    let together = join((0..6).map(|i| ask(engine, request(i)))).await;
    for (i, (alone, together)) in alone.iter().zip(&together).enumerate() {
        assert_eq!(alone.events, together.events, "request {i}: alone, and beside others");
    }
}

/// Every parameter that goes with others.
fn everything(seed: u64) -> Sampling {
    Sampling {
        temperature: 1.4,
        dynamic_temperature: Some(DynamicTemperature::default()),
        top_k: Some(200),
        top_p: Some(0.98),
        min_p: Some(0.001),
        typical_p: Some(0.99),
        top_n_sigma: Some(4.0),
        xtc: Some(Xtc::default()),
        penalties: Penalties {
            repetition: 1.1,
            frequency: 0.2,
            presence: 0.1,
            last_n: Some(64),
            dry: Some(Dry::default()),
        },
        mirostat: Some(crate::Mirostat::default()),
        seed: Some(seed),
        ..Sampling::default()
    }
}

/// What the model thinks of a prompt's tokens is what it thinks of them as an answer; a context's tokens are left out,
/// and nothing is said that was not asked for.
///
/// # Panics
/// If the engine breaks this.
pub async fn prompts_are_scored_as_answers<E: LlamaEngine>(engine: &E) {
    let start = tokens_of(engine, PROMPT).await;
    let answer = ask(engine, exactly(9, Prompt::Tokens(start.clone())).with_logprobs(2)).await;
    assert!(answer.prompt.is_none(), "a score of the prompt that nobody asked for");
    let whole = [start.clone(), answer.tokens()].concat();
    // Twice, since the second time the prompt is cached; then as a continuation of several contexts.
    let request = exactly(3, Prompt::Tokens(whole.clone())).with_prompt_logprobs(2);
    for _ in 0..2 {
        check_scores(&ask(engine, request.clone()).await, (&whole, 0), &answer);
    }
    for context_len in [1, start.len(), start.len() + 3] {
        let pin = accepted(engine.pin(Prompt::Tokens(whole[..context_len].to_vec())).await);
        let rest = Prompt::Tokens(whole[context_len..].to_vec());
        let request = exactly(3, rest).with_context(pin).with_prompt_logprobs(2);
        check_scores(&ask(engine, request).await, (&whole, context_len), &answer);
    }
    let request = exactly(3, Prompt::Tokens(whole.clone())).with_prompt_logprobs(2);
    let several = accepted(engine.generate_n(request, 3).await);
    for sample in join(several.into_iter().map(super::answer::listen)).await {
        check_scores(&sample, (&whole, 0), &answer);
    }
}

/// Compares the scores of the tokens from `start` on with those that the end of them had as an answer.
fn check_scores(scored: &Answer, (whole, start): (&[u32], usize), answer: &Answer) {
    let Some(prompt) = &scored.prompt else { panic!("no score of the prompt") };
    assert_eq!(prompt.tokens.len(), whole.len() - start, "tokens of the prompt");
    for (position, token) in (start..).zip(&prompt.tokens) {
        assert_eq!(token.id, whole[position], "at {position}");
        assert_eq!(
            token.logprobs.is_none(),
            position == 0,
            "only nothing comes before the first: {position}"
        );
        if let Some(entries) = &token.logprobs {
            assert_eq!((entries[0].id, entries.len()), (whole[position], 3), "at {position}");
            let is_ordered = entries[1..].is_sorted_by(|a, b| a.logprob >= b.logprob);
            assert!(is_ordered && entries[0].logprob <= 0.0, "{entries:?} at {position}");
        }
    }
    let answered = answer.events.iter().rev().map(|event| event.logprobs.as_deref().unwrap_or_default());
    for (asked, found) in answered.zip(prompt.tokens.iter().rev()) {
        let found: &[TokenLogprob] = found.logprobs.as_deref().unwrap_or_default();
        let is_close =
            |(a, b): (&TokenLogprob, &TokenLogprob)| a.id == b.id && (a.logprob - b.logprob).abs() < 1e-3;
        assert!(
            asked.len() == found.len() && asked.iter().zip(found).all(is_close),
            "{found:?}, not {asked:?}"
        );
    }
}

/// Token rules that make no sense are refused, and named.
///
/// # Panics
/// If the engine breaks this.
pub async fn bad_token_rules_are_refused<E: LlamaEngine>(engine: &E) {
    let unknown = engine.info().vocab_size as u32;
    let usual = TokenRules::default();
    let id = unknown.to_string();
    let cases = [
        ("rules.bias", "100.5", TokenRules { bias: vec![(1, 100.5)], ..usual.clone() }),
        ("rules.bias", "NaN", TokenRules { bias: vec![(1, f32::NAN)], ..usual.clone() }),
        ("rules.bias", &id, TokenRules { bias: vec![(unknown, 1.0)], ..usual.clone() }),
        ("rules.allowed", "0", TokenRules { allowed: Some(Vec::new()), ..usual.clone() }),
        ("rules.allowed", &id, TokenRules { allowed: Some(vec![1, unknown]), ..usual.clone() }),
        ("rules.banned", &id, TokenRules { banned: vec![unknown], ..usual.clone() }),
        ("rules.stop", &id, TokenRules { stop: vec![unknown], ..usual.clone() }),
        ("rules.min_tokens", "5", TokenRules { min_tokens: 5, ..usual }),
    ];
    for (field, number, rules) in cases {
        let request: GenerateRequest = exactly(4, PROMPT).with_rules(rules);
        super::refusals::check_invalid(engine, request, (field, &[number])).await;
    }
}
