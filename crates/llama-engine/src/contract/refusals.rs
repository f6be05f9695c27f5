//! Clauses on requests that make no sense: each is refused at once, with a typed error that has the numbers in it.

use super::answer::{accepted, ask, exactly, tokens_of};
use crate::{
    ContextId, Dry, DynamicTemperature, EmbedRequest, EngineError, GenerateRequest, LlamaEngine, Mirostat,
    Penalties, PinnedContext, Prompt, Sampling, Stage, Xtc,
};

const PROMPT: &str = "O Romeo,";

/// Prompts, limits and stop texts that make no sense are refused, and the engine goes on.
///
/// # Panics
/// If the engine breaks this.
pub async fn bad_requests_are_refused<E: LlamaEngine>(engine: &E) {
    let (context_len, vocab_size) = (engine.info().context_len, engine.info().vocab_size);
    let nothing = Prompt::Tokens(Vec::new());
    check_invalid(engine, GenerateRequest::new(nothing.clone()), ("prompt", &[])).await;
    check_invalid(engine, exactly(0, PROMPT), ("max_tokens", &["0"])).await;
    check_invalid(engine, exactly(4, PROMPT).with_stop("x").with_stop(""), ("stop", &[])).await;
    let ids = [vocab_size.to_string(), u32::MAX.to_string()];
    for id in [vocab_size as u32, u32::MAX] {
        let numbers: &[&str] = &[&ids[0], &id.to_string()];
        check_invalid(engine, exactly(4, Prompt::Tokens(vec![0, id])), ("prompt", numbers)).await;
    }
    let long = Prompt::Tokens(vec![0; context_len]);
    for (request, expected) in [
        (exactly(1, long.clone()), context_len + 1),
        (GenerateRequest::new(Prompt::Tokens(vec![0; context_len + 7])), context_len + 8),
        (exactly(context_len, Prompt::Tokens(vec![0; 3])), context_len + 3),
        (exactly(usize::MAX, long), usize::MAX),
    ] {
        match engine.generate(request).await {
            Err(EngineError::ContextTooLong { needed, context_len: limit }) => {
                assert_eq!((needed, limit), (expected, context_len));
            }
            other => panic!("{other:?} instead of ContextTooLong for {expected} tokens"),
        }
    }
    let pinned = engine.pin(nothing).await;
    assert!(matches!(pinned, Err(EngineError::InvalidRequest { field: "prompt", .. })), "{pinned:?}");
    let texts = EmbedRequest::new(["a ".repeat(4 * context_len)]);
    let embedded = engine.embed(texts).await;
    assert!(matches!(embedded, Err(EngineError::ContextTooLong { .. })), "{embedded:?}");
    ask(engine, exactly(2, PROMPT)).await;
}

/// Sampling parameters outside their range are refused, and named.
///
/// # Panics
/// If the engine breaks this.
pub async fn bad_sampling_is_refused<E: LlamaEngine>(engine: &E) {
    let warm = Sampling { temperature: 1.0, ..Sampling::default() };
    let cases = [
        ("temperature", "-1", Sampling { temperature: -1.0, ..warm.clone() }),
        ("temperature", "NaN", Sampling { temperature: f32::NAN, ..warm.clone() }),
        ("temperature", "inf", Sampling { temperature: f32::INFINITY, ..warm.clone() }),
        ("top_k", "0", Sampling { top_k: Some(0), ..warm.clone() }),
        ("top_p", "0", Sampling { top_p: Some(0.0), ..warm.clone() }),
        ("top_p", "1.5", Sampling { top_p: Some(1.5), ..warm.clone() }),
        ("top_p", "NaN", Sampling { top_p: Some(f32::NAN), ..warm.clone() }),
        ("min_p", "-0.5", Sampling { min_p: Some(-0.5), ..warm.clone() }),
        ("min_p", "2", Sampling { min_p: Some(2.0), ..warm.clone() }),
        ("typical_p", "0", Sampling { typical_p: Some(0.0), ..warm.clone() }),
        ("top_n_sigma", "-1", Sampling { top_n_sigma: Some(-1.0), ..warm.clone() }),
        (
            "xtc.threshold",
            "0.75",
            Sampling { xtc: Some(Xtc { threshold: 0.75, ..Xtc::default() }), ..warm.clone() },
        ),
        (
            "mirostat.tau",
            "0",
            Sampling { mirostat: Some(Mirostat { tau: 0.0, ..Mirostat::default() }), ..warm.clone() },
        ),
        ("dynamic_temperature.range", "-2", warm_within(-2.0)),
        ("penalties.repetition", "0", penalised(Penalties { repetition: 0.0, ..Penalties::default() })),
        ("penalties.frequency", "3", penalised(Penalties { frequency: 3.0, ..Penalties::default() })),
        ("penalties.presence", "-3", penalised(Penalties { presence: -3.0, ..Penalties::default() })),
        ("penalties.last_n", "0", penalised(Penalties { last_n: Some(0), ..Penalties::default() })),
        ("penalties.dry.base", "0.5", penalised(against_phrases(Dry { base: 0.5, ..Dry::default() }))),
        (
            "penalties.dry.breakers",
            "",
            penalised(against_phrases(Dry { breakers: vec![String::new()], ..Dry::default() })),
        ),
        (
            "order",
            "top_k",
            Sampling { top_k: Some(3), order: Some(vec![Stage::Temperature]), ..warm.clone() },
        ),
        ("order", "min_p", Sampling { order: Some(vec![Stage::MinP, Stage::MinP]), ..warm }),
    ];
    for (field, number, sampling) in cases {
        check_invalid(engine, exactly(4, PROMPT).with_sampling(sampling), (field, &[number])).await;
    }
}

fn warm_within(range: f32) -> Sampling {
    let dynamic_temperature = Some(DynamicTemperature { range, ..DynamicTemperature::default() });
    Sampling { temperature: 1.0, dynamic_temperature, ..Sampling::default() }
}

fn penalised(penalties: Penalties) -> Sampling {
    Sampling { penalties, ..Sampling::default() }
}

fn against_phrases(dry: Dry) -> Penalties {
    Penalties { dry: Some(dry), ..Penalties::default() }
}

/// A context of another engine is refused, and so is one that leaves no room.
///
/// # Panics
/// If the engine breaks this.
pub async fn bad_contexts_are_refused<E: LlamaEngine>(engine: &E) {
    let foreign = PinnedContext::new(ContextId(0), u64::MAX, 1, |_| {});
    let refused = engine.generate(exactly(4, PROMPT).with_context(foreign)).await;
    assert!(matches!(refused, Err(EngineError::ForeignContext)), "{refused:?}");
    let tokens = tokens_of(engine, PROMPT).await;
    let pin = accepted(engine.pin(Prompt::Tokens(tokens.clone())).await);
    let context_len = engine.info().context_len;
    let prompt = Prompt::Tokens(vec![0; context_len - tokens.len()]);
    let refused = engine.generate(exactly(1, prompt).with_context(pin.clone())).await;
    let Err(EngineError::ContextTooLong { needed, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(needed, context_len + 1, "context and prompt both count");
    let beyond = pin.rewind(tokens.len() + 1);
    assert!(matches!(beyond, Err(EngineError::InvalidRequest { field: "rewind", .. })), "{beyond:?}");
    let empty = accepted(pin.rewind(0));
    check_invalid(engine, exactly(4, Prompt::Tokens(Vec::new())).with_context(empty), ("prompt", &[])).await;
}

/// Checks that a request is refused at once, for this field and with these numbers in the reason.
pub(super) async fn check_invalid<E: LlamaEngine>(
    engine: &E,
    request: GenerateRequest,
    (expected, numbers): (&str, &[&str]),
) {
    let outcome = engine.generate(request).await;
    let Err(EngineError::InvalidRequest { field, reason }) = outcome else {
        panic!("{outcome:?} instead of InvalidRequest for {expected} {numbers:?}");
    };
    assert_eq!(field, expected, "{reason}");
    for number in numbers {
        assert!(reason.contains(number), "{number} is not in {reason:?}");
    }
}
