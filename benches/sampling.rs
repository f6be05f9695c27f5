//! What choosing a token costs: each processor alone and typical chains, at the vocabulary of SmolLM2.

use candle_core::{Device, Tensor};
use criterion::Criterion;
use llama_rs::{
    engine::{Dry, DynamicTemperature, Mirostat, MirostatVersion, Penalties, Sampling, TokenRules, Xtc},
    sampling::{History, Resolved, Sampler, Stream, logprobs, token_processors, uniform},
};

const VOCAB_SIZE: usize = 49_152;

/// Logits like those of a language model: a bell curve about zero, and a few tokens that stand out.
fn logits() -> Vec<f32> {
    let noise = |i: u64| (0..12).map(|j| uniform(j, Stream::TOKEN, i)).sum::<f64>() - 6.0;
    let mut row: Vec<f32> = (0..VOCAB_SIZE as u64).map(|i| 2.5 * noise(i) as f32).collect();
    (0..40).for_each(|rank| row[(rank * 7919) % VOCAB_SIZE] = 18.0 - 2.0 * (1.0 + rank as f32).ln());
    row
}

/// One parameter of each kind, and chains of several.
fn cases() -> Vec<(&'static str, Sampling)> {
    let usual = Sampling { temperature: 1.0, ..Sampling::default() };
    let penalties = Penalties { repetition: 1.1, frequency: 0.2, presence: 0.1, ..Penalties::default() };
    let dry = Penalties { dry: Some(Dry::default()), ..Penalties::default() };
    let mirostat = |version| Some(Mirostat { version, ..Mirostat::default() });
    let chain = Sampling {
        temperature: 0.8,
        top_k: Some(40),
        top_p: Some(0.95),
        min_p: Some(0.05),
        penalties: penalties.clone(),
        ..Sampling::default()
    };
    vec![
        ("greedy", Sampling::default()),
        ("greedy with penalties", Sampling { penalties: penalties.clone(), ..Sampling::default() }),
        ("draw", usual.clone()),
        ("temperature", Sampling { temperature: 0.8, ..Sampling::default() }),
        (
            "dynamic temperature",
            Sampling { dynamic_temperature: Some(DynamicTemperature::default()), ..usual.clone() },
        ),
        ("top-k", Sampling { top_k: Some(40), ..usual.clone() }),
        ("top-p", Sampling { top_p: Some(0.95), ..usual.clone() }),
        ("min-p", Sampling { min_p: Some(0.05), ..usual.clone() }),
        ("typical-p", Sampling { typical_p: Some(0.95), ..usual.clone() }),
        ("top-n-sigma", Sampling { top_n_sigma: Some(1.0), ..usual.clone() }),
        ("xtc", Sampling { xtc: Some(Xtc { probability: 1.0, ..Xtc::default() }), ..usual.clone() }),
        ("penalties", Sampling { penalties: penalties.clone(), ..usual.clone() }),
        ("dry", Sampling { penalties: dry, ..usual.clone() }),
        ("mirostat 1", Sampling { mirostat: mirostat(MirostatVersion::One), ..usual.clone() }),
        ("mirostat 2", Sampling { mirostat: mirostat(MirostatVersion::Two), ..usual }),
        ("penalties, temperature, top-k, top-p, min-p", chain.clone()),
        ("the same without top-k", Sampling { top_k: None, ..chain }),
    ]
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let row = Tensor::new(logits(), &Device::Cpu).expect("a row");
    // A prompt of 512 tokens and an answer of 512, with repetitions.
    let tokens: Vec<u32> = (0..1024u32).map(|i| (i % 300) * 31 % VOCAB_SIZE as u32).collect();
    let history = History::new(&tokens, 512);
    let mut group = criterion.benchmark_group("sampling, vocabulary 49,152");
    for (name, sampling) in cases() {
        let mut sampler = Sampler::new(&sampling, &Resolved::default()).expect("values in range");
        group.bench_function(name, |bencher| {
            bencher.iter(|| sampler.sample(&row, &history).expect("a token"))
        });
    }
    let rules = TokenRules {
        bias: vec![(5, 1.0)],
        banned: (0..100).collect(),
        min_tokens: 1 << 20,
        stop: vec![7],
        ..TokenRules::default()
    };
    let constraints = token_processors(&rules, &[2]).expect("values in range");
    let greedy = Sampler::new(&Sampling::default(), &Resolved::default()).expect("values in range");
    let mut ruled = greedy.constrained_by(constraints);
    group.bench_function("greedy with token rules", |bencher| {
        bencher.iter(|| ruled.sample(&row, &history).expect("a token"));
    });
    group.bench_function("5 log-probabilities", |bencher| {
        bencher.iter(|| logprobs(&row, 7, 5).expect("a token"))
    });
    group.finish();
    criterion.final_summary();
}
