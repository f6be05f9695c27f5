//! What both sides do, and what they report.

use anyhow::Context;
use serde_json::Value;

/// The threads of each side.
#[derive(Clone, Debug)]
pub(super) struct Threads {
    pub(super) num: usize,
    /// Processors that they stay on, as in `0,2`, or `any`.
    pub(super) cores: String,
}

impl Threads {
    /// The arguments that every program takes.
    pub(super) fn arguments(&self) -> [String; 4] {
        ["--threads", &self.num.to_string(), "--cores", &self.cores].map(str::to_owned)
    }
}

/// One process: prefill of `prompt` tokens; then `decode` steps of `batch` sequences, each behind `depth` tokens.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) prompt: usize,
    pub(super) decode: usize,
    pub(super) depth: usize,
    pub(super) batch: usize,
    /// What of it is of interest.
    pub(super) measures: &'static [Measure],
}

/// Which of the two speeds of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Prefill,
    Decode,
}

/// Every workload. A prompt of 8 is there because the programs always do one.
pub(super) const RUNS: [Run; 3] = [
    Run { prompt: 512, decode: 64, depth: 128, batch: 1, measures: &[Measure::Decode, Measure::Prefill] },
    Run { prompt: 8, decode: 32, depth: 2048, batch: 1, measures: &[Measure::Decode] },
    Run { prompt: 8, decode: 24, depth: 128, batch: 8, measures: &[Measure::Decode] },
];

impl Run {
    /// The arguments that both programs take. The first of two rounds warms up.
    pub(super) fn arguments(&self, threads: &Threads) -> Vec<String> {
        let numbers = [
            ("--prompt", self.prompt),
            ("--decode", self.decode),
            ("--depth", self.depth),
            ("--batch", self.batch),
            ("--rounds", 1),
        ];
        let numbers = numbers.into_iter().flat_map(|(name, number)| [name.to_owned(), number.to_string()]);
        threads.arguments().into_iter().chain(numbers).collect()
    }

    /// What it does, in words.
    pub(super) fn name(&self) -> String {
        let names = self.measures.iter().map(|measure| self.name_of(*measure));
        names.collect::<Vec<_>>().join(" and ")
    }

    /// One of its cells.
    pub(super) fn name_of(&self, measure: Measure) -> String {
        match (measure, self.batch) {
            (Measure::Prefill, _) => format!("prefill of {}", self.prompt),
            (Measure::Decode, 1) => format!("decode at depth {}", self.depth),
            (Measure::Decode, batch) => format!("{batch} sequences at depth {}", self.depth),
        }
    }
}

/// Tokens a second of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) prefill_tok_s: f64,
    pub(super) decode_tok_s: f64,
}

impl Sample {
    pub(super) fn parse(report: &Value) -> anyhow::Result<Self> {
        let speed = |name: &str| {
            let speed = report[name].as_f64().filter(|speed| *speed > 0.0);
            speed.with_context(|| format!("no positive {name} in {report}"))
        };
        Ok(Self { prefill_tok_s: speed("prefill_tok_s")?, decode_tok_s: speed("decode_tok_s")? })
    }

    pub(super) fn of(self, measure: Measure) -> f64 {
        match measure {
            Measure::Prefill => self.prefill_tok_s,
            Measure::Decode => self.decode_tok_s,
        }
    }
}

/// What our side says of the model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Model {
    /// The format of most of its bytes.
    pub(super) format: String,
    /// Bytes that a step reads.
    pub(super) weight_bytes: f64,
    /// Weights that every token is multiplied with.
    pub(super) layer_weights: f64,
    /// Weights that a token is multiplied with if its logits are wanted.
    pub(super) head_weights: f64,
}

const DENSE: [&str; 3] = ["F32", "F16", "BF16"];

impl Model {
    pub(super) fn parse(report: &Value) -> anyhow::Result<Self> {
        let number =
            |name: &str| report[name].as_f64().with_context(|| format!("no number {name} in {report}"));
        Ok(Self {
            format: report["format"].as_str().with_context(|| format!("no format in {report}"))?.to_owned(),
            weight_bytes: number("weight_bytes")?,
            layer_weights: number("layer_weights")?,
            head_weights: number("head_weights")?,
        })
    }

    pub(super) fn is_quantised(&self) -> bool {
        !DENSE.contains(&&*self.format)
    }

    /// Bytes of weights read a second at this speed: a step reads them once, for all its tokens.
    pub(super) fn bytes_s(&self, (run, measure): (&Run, Measure), tok_s: f64) -> f64 {
        let tokens_per_step = match measure {
            Measure::Prefill => run.prompt,
            Measure::Decode => run.batch,
        };
        self.weight_bytes * tok_s / tokens_per_step as f64
    }

    /// Operations on weights a second at this speed: a product and a sum each. Of a prompt, one token has logits.
    pub(super) fn ops_s(&self, (run, measure): (&Run, Measure), tok_s: f64) -> f64 {
        let logits_per_token = match measure {
            Measure::Prefill => 1.0 / run.prompt as f64,
            Measure::Decode => 1.0,
        };
        2.0 * (self.layer_weights + self.head_weights * logits_per_token) * tok_s
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn model(format: &str) -> Model {
        Model { format: format.to_owned(), weight_bytes: 100.0, layer_weights: 40.0, head_weights: 20.0 }
    }

    #[test]
    fn reports_are_read() {
        let report = json!({"prefill_tok_s": 481.9, "decode_tok_s": 39, "format": "Q4_0", "weight_bytes": 100,
            "layer_weights": 40, "head_weights": 20});
        assert_eq!(Sample::parse(&report).unwrap(), Sample { prefill_tok_s: 481.9, decode_tok_s: 39.0 });
        assert_eq!(Model::parse(&report).unwrap(), model("Q4_0"));
        let error = Sample::parse(&json!({"prefill_tok_s": 0.0, "decode_tok_s": 1})).unwrap_err();
        assert!(error.to_string().starts_with("no positive prefill_tok_s in {"), "{error}");
        assert!(Model::parse(&json!({"format": "F32"})).is_err());
    }

    #[test]
    fn dense_formats_are_told_from_quantised_ones() {
        assert!(DENSE.iter().all(|format| !model(format).is_quantised()));
        assert!(model("Q4_0").is_quantised() && model("Q4_K").is_quantised());
    }

    #[test]
    fn a_step_reads_the_weights_once_for_all_its_tokens() {
        let [single, _, batched] = &RUNS;
        assert_eq!(model("F32").bytes_s((single, Measure::Decode), 3.0), 300.0);
        assert_eq!(model("F32").bytes_s((batched, Measure::Decode), 8.0), 100.0);
        assert_eq!(model("F32").bytes_s((single, Measure::Prefill), 512.0), 100.0);
    }

    #[test]
    fn of_a_prompt_one_token_has_logits() {
        let [single, _, batched] = &RUNS;
        assert_eq!(model("F32").ops_s((single, Measure::Decode), 1.0), 120.0);
        assert_eq!(model("F32").ops_s((batched, Measure::Decode), 2.0), 240.0);
        assert_eq!(model("F32").ops_s((single, Measure::Prefill), 512.0), 2.0 * (40.0 * 512.0 + 20.0));
    }

    #[test]
    fn every_cell_has_a_name_of_its_own() {
        let names: Vec<String> =
            (RUNS.iter()).flat_map(|run| run.measures.iter().map(|measure| run.name_of(*measure))).collect();
        let expected =
            ["decode at depth 128", "prefill of 512", "decode at depth 2048", "8 sequences at depth 128"];
        assert_eq!(names, expected);
        assert_eq!(RUNS[0].name(), "decode at depth 128 and prefill of 512");
    }

    #[test]
    fn both_sides_are_told_the_same() {
        let threads = Threads { num: 3, cores: "0,2,5".to_owned() };
        let arguments = RUNS[2].arguments(&threads).join(" ");
        assert_eq!(
            arguments,
            "--threads 3 --cores 0,2,5 --prompt 8 --decode 24 --depth 128 --batch 8 --rounds 1"
        );
    }
}
