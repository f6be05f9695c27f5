//! The histograms of the semantic conventions for generative AI, with the buckets that these recommend.

use opentelemetry::{
    KeyValue,
    metrics::{Histogram, Meter},
};

const DURATION: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FIRST_TOKEN: [f64; 16] =
    [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const PER_TOKEN: [f64; 13] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
const TOKENS: [f64; 14] = [
    1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0,
    16777216.0, 67108864.0,
];

#[derive(Debug)]
pub(super) struct Instruments {
    pub(super) duration: Histogram<f64>,
    pub(super) first_token: Histogram<f64>,
    pub(super) per_token: Histogram<f64>,
    pub(super) tokens: Histogram<u64>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds = |name, help, bounds: &[f64]| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(help);
            histogram.with_boundaries(bounds.to_vec()).build()
        };
        let tokens = meter.u64_histogram("gen_ai.client.token.usage").with_unit("{token}");
        Self {
            duration: seconds(
                "gen_ai.server.request.duration",
                "From a request's arrival to the end of all its answers.",
                &DURATION,
            ),
            first_token: seconds(
                "gen_ai.server.time_to_first_token",
                "From a request's arrival to its first token.",
                &FIRST_TOKEN,
            ),
            per_token: seconds(
                "gen_ai.server.time_per_output_token",
                "Time after the first token by tokens after it, of each answer.",
                &PER_TOKEN,
            ),
            tokens: tokens
                .with_description("Tokens of a request's prompts, and of its answers.")
                .with_boundaries(TOKENS.to_vec())
                .build(),
        }
    }
}

/// What every figure of a request is told apart by. No value comes from a client.
pub(super) fn attributes(operation: &'static str, model: &str) -> [KeyValue; 4] {
    [
        KeyValue::new("gen_ai.operation.name", operation),
        KeyValue::new("gen_ai.provider.name", "llama.rs"),
        KeyValue::new("gen_ai.request.model", model.to_owned()),
        KeyValue::new("gen_ai.response.model", model.to_owned()),
    ]
}
