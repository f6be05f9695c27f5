//! Whole chains: sampled frequencies against probabilities, streams that repeat, and logits that are no numbers.

use candle_core::{Device, Tensor};
use llama_engine::{
    Dry, DynamicTemperature, Mirostat, MirostatVersion, Penalties, Sampling, Stage, TokenRules, Xtc,
};
use llama_sampling::{
    Distribution, History, Processor, Resolved, Sampler, SamplingError, Stream, token_processors, uniform,
};
use proptest::prelude::*;

const LOGITS: [f32; 8] = [0.5, 1.5, -0.5, 0.0, 2.0, 1.5, -3.0, 1.0];
/// What was said: the token 4 often, the phrase 1 5 twice.
const TOKENS: [u32; 10] = [4, 1, 5, 4, 4, 0, 4, 7, 1, 5];

fn tensor(logits: &[f32]) -> Tensor {
    Tensor::new(logits, &Device::Cpu).expect("a row")
}

fn sampler(sampling: &Sampling, seed: u64) -> Sampler {
    Sampler::new(sampling, &Resolved { seed, breakers: Vec::new() }).expect("values in range")
}

fn warm() -> Sampling {
    Sampling { temperature: 1.0, ..Sampling::default() }
}

fn penalties() -> Penalties {
    let dry = Some(Dry { multiplier: 0.6, allowed_len: 1, ..Dry::default() });
    Penalties { repetition: 1.3, frequency: 0.2, presence: 0.3, last_n: Some(8), dry }
}

/// All that goes together.
fn everything() -> Sampling {
    Sampling {
        temperature: 1.3,
        dynamic_temperature: Some(DynamicTemperature::default()),
        top_k: Some(7),
        top_p: Some(0.97),
        min_p: Some(0.02),
        typical_p: Some(0.98),
        top_n_sigma: Some(3.0),
        xtc: Some(Xtc { probability: 0.4, threshold: 0.15 }),
        penalties: penalties(),
        mirostat: Some(Mirostat { tau: 3.0, ..Mirostat::default() }),
        order: None,
        seed: None,
    }
}

/// Every parameter alone, then all of them.
fn cases() -> Vec<Sampling> {
    let mirostat = |version| Some(Mirostat { version, tau: 1.2, eta: 0.1 });
    vec![
        warm(),
        Sampling { temperature: 0.6, ..warm() },
        Sampling { dynamic_temperature: Some(DynamicTemperature::default()), ..warm() },
        Sampling { top_k: Some(3), ..warm() },
        Sampling { top_p: Some(0.8), ..warm() },
        Sampling { min_p: Some(0.2), ..warm() },
        Sampling { typical_p: Some(0.7), ..warm() },
        Sampling { top_n_sigma: Some(1.0), ..warm() },
        Sampling { xtc: Some(Xtc { probability: 0.6, threshold: 0.2 }), ..warm() },
        Sampling { penalties: penalties(), ..warm() },
        Sampling { mirostat: mirostat(MirostatVersion::One), ..warm() },
        Sampling { mirostat: mirostat(MirostatVersion::Two), ..warm() },
        everything(),
    ]
}

/// Draws 20,000 times at places of their own, and compares how often each token came with the mean of what it was drawn
/// from. The limit is exceeded once in 10,000 (Wilson and Hilferty, 1931).
fn check_frequencies(sampling: &Sampling) {
    const NUM_DRAWS: usize = 20_000;
    let (mut counts, mut expected) = ([0f64; LOGITS.len()], [0f64; LOGITS.len()]);
    for i in 0..NUM_DRAWS as u64 {
        // A seed of its own for each draw, so that the history can stay as it is.
        let mut sampler = sampler(sampling, i);
        let history = History::new(&TOKENS, 3);
        let distribution = sampler.distribution(&tensor(&LOGITS), &history).expect("tokens are left");
        distribution.iter().for_each(|(token, probability)| expected[token as usize] += probability);
        counts[sampler.sample(&tensor(&LOGITS), &history).expect("tokens are left") as usize] += 1.0;
    }
    let possible = counts.iter().zip(expected).filter(|(_, expected)| *expected > 0.0);
    let degrees = possible.clone().count() as f64 - 1.0;
    let chi_square: f64 = possible.map(|(count, expected)| (count - expected).powi(2) / expected).sum();
    let spread = 2.0 / (9.0 * degrees);
    let limit = degrees * (1.0 - spread + 3.719 * spread.sqrt()).powi(3);
    assert!(degrees > 0.0 && chi_square < limit, "{chi_square} of {limit} with {sampling:?}: {counts:?}");
    assert!(
        counts.iter().zip(expected).all(|(count, expected)| expected > 0.0 || *count == 0.0),
        "{counts:?}"
    );
}

#[test]
fn frequencies_follow_the_probabilities() {
    cases().iter().for_each(check_frequencies);
}

/// The same, along one stream, for the plain softmax in f64.
#[test]
fn a_stream_follows_the_softmax() {
    let answer = [0u32; 20_000];
    let mut sampler = sampler(&warm(), 12);
    let mut counts = [0f64; LOGITS.len()];
    for len in 0..answer.len() {
        counts[sampler.sample(&tensor(&LOGITS), &History::new(&answer[..len], 0)).unwrap() as usize] += 1.0;
    }
    let weights = LOGITS.map(|logit| f64::from(logit).exp());
    let total: f64 = weights.iter().sum();
    let cell = |(count, weight): (&f64, f64)| {
        let expected = answer.len() as f64 * weight / total;
        (count - expected).powi(2) / expected
    };
    let chi_square: f64 = counts.iter().zip(weights).map(cell).sum();
    // Exceeded once in 10,000, with 7 degrees of freedom.
    assert!(chi_square < 29.9, "{chi_square}");
}

/// An answer of 60 tokens, whose logits depend on the last one.
fn answer(sampling: &Sampling, seed: u64, mut disturb: impl FnMut(&Sampler)) -> Vec<u32> {
    let (mut sampler, mut tokens) = (sampler(sampling, seed), vec![2, 6]);
    for _ in 0..60 {
        let mut logits = LOGITS;
        logits.rotate_right(tokens[tokens.len() - 1] as usize);
        disturb(&sampler);
        let token = sampler.sample(&tensor(&logits), &History::new(&tokens, 2)).expect("tokens are left");
        sampler.accept(token).expect("these processors accept every token");
        tokens.push(token);
    }
    tokens
}

#[test]
fn a_seed_gives_the_same_tokens_whatever_clones_try() {
    for sampling in cases() {
        let first = answer(&sampling, 4, |_| {});
        let disturbed = answer(&sampling, 4, |sampler| {
            let mut draft = sampler.clone();
            for token in [3, 1, 4] {
                draft.distribution(&tensor(&LOGITS), &History::new(&TOKENS, 1)).unwrap();
                draft.accept(token).unwrap();
            }
        });
        assert_eq!(first, disturbed, "{sampling:?}");
        assert!(
            (5..9).any(|seed| answer(&sampling, seed, |_| {}) != first),
            "five seeds, one answer: {sampling:?}"
        );
    }
}

/// Rules out nothing, and leaves a number that is none.
#[derive(Clone)]
struct Breaks(f32);

impl Processor for Breaks {
    fn name(&self) -> &'static str {
        "breaks"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        let mut row = logits.to_vec1::<f32>()?;
        row[5] = self.0;
        Ok(Tensor::new(row, logits.device())?)
    }
}

proptest! {
    /// Wherever the broken number comes from, and whatever would rule it out.
    #[test]
    fn broken_logits_are_typed_errors(
        logits in prop::collection::vec(-9f32..9.0, 8),
        (at, broken) in (0usize..8, prop_oneof![Just(f32::NAN), Just(f32::INFINITY)]),
        place in 0usize..12,
    ) {
        let mut broken_logits = logits.clone();
        broken_logits[at] = broken;
        for sampling in cases().into_iter().chain([Sampling::default()]) {
            let history = History::new(&TOKENS, 3);
            let sampled = sampler(&sampling, 1).sample(&tensor(&broken_logits), &history);
            prop_assert!(matches!(sampled, Err(SamplingError::NotFinite { token, .. }) if token == at), "{:?}", sampled);
            let mut own = sampler(&sampling, 1);
            own.map_processors(|mut processors| {
                processors.insert(place.min(processors.len()), Box::new(Breaks(broken)));
                processors
            });
            let sampled = own.sample(&tensor(&logits), &history);
            prop_assert!(matches!(sampled, Err(SamplingError::NotFinite { token: 5, .. })), "{:?}", sampled);
        }
    }

    /// Extreme but finite numbers, and few tokens that are possible, give a token that is possible.
    #[test]
    fn extreme_logits_give_a_token(
        logits in prop::collection::vec(
            prop_oneof![Just(f32::MAX), Just(f32::MIN), Just(0.0), Just(1e-40), Just(f32::NEG_INFINITY), -1e30f32..1e30],
            1..10,
        ),
        temperature in prop_oneof![Just(1e-40f32), Just(0.7), Just(f32::MAX)],
    ) {
        prop_assume!(logits.iter().any(|logit| logit.is_finite()));
        for sampling in cases() {
            let sampling = Sampling { temperature, ..sampling };
            let token = sampler(&sampling, 1).sample(&tensor(&logits), &History::new(&TOKENS, 3));
            let token = token.map_err(|error| TestCaseError::fail(format!("{error} with {sampling:?}")))?;
            prop_assert!(logits[token as usize].is_finite());
        }
    }
}

#[test]
fn nothing_left_is_a_typed_error() {
    let rules = TokenRules { allowed: Some(vec![3]), banned: vec![3], ..TokenRules::default() };
    for sampling in cases().into_iter().chain([Sampling::default()]) {
        let constraints = token_processors(&rules, &[]).unwrap();
        let mut sampler = sampler(&sampling, 1).constrained_by(constraints);
        let sampled = sampler.sample(&tensor(&LOGITS), &History::EMPTY);
        assert!(matches!(sampled, Err(SamplingError::NoCandidate)), "{sampled:?} with {sampling:?}");
    }
}

/// What is ruled out takes no place among the most likely.
#[test]
fn constraints_come_first() {
    let rules = TokenRules { banned: vec![4], ..TokenRules::default() };
    let mut sampler = sampler(&Sampling { top_k: Some(1), ..warm() }, 1)
        .constrained_by(token_processors(&rules, &[]).expect("rules in range"));
    let left = sampler.distribution(&tensor(&LOGITS), &History::EMPTY).expect("seven tokens are left");
    assert_eq!(left, Distribution::certain(1));
}

/// Temperature first or last: with the temperature last, top-p sees the model's own probabilities.
#[test]
fn the_order_matters_where_it_should() {
    let with = |order: Option<Vec<Stage>>| {
        let sampling = Sampling { temperature: 3.0, top_p: Some(0.6), order, ..Sampling::default() };
        sampler(&sampling, 1).distribution(&tensor(&LOGITS), &History::EMPTY).unwrap()
    };
    let (standard, llama_cpp) = (with(None), with(Some(vec![Stage::TopP, Stage::Temperature])));
    assert!(llama_cpp.support_len() < standard.support_len());
    let hand_made: Vec<(u32, f64)> =
        [1u32, 4, 5].map(|token| (token, f64::from(LOGITS[token as usize] / 3.0).exp())).to_vec();
    let expected = Distribution::from_weights(hand_made).unwrap();
    for (a, b) in llama_cpp.iter().zip(expected.iter()) {
        assert!(a.0 == b.0 && (a.1 - b.1).abs() < 1e-6, "{llama_cpp:?} instead of {expected:?}");
    }
}

#[test]
fn streams_of_processors_do_not_touch_the_draw() {
    // XTC that never acts leaves the tokens as they were.
    let idle = Sampling { xtc: Some(Xtc { probability: 0.0, ..Xtc::default() }), ..warm() };
    assert_eq!(answer(&idle, 3, |_| {}), answer(&warm(), 3, |_| {}));
    assert_ne!(uniform(3, Stream::XTC, 0), uniform(3, Stream::TOKEN, 0));
}
