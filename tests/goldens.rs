//! Logits and greedy tokens against transformers in f32, and vectors against sentence-transformers (`tests/data`, provenance inside each file).
//!
//! Activations are exact, as the reference's are. Tolerance: 1e-3 on logits and log-probabilities. A greedy token may differ only where the reference's two best
//! logits are less than [`NEAR_TIE`] apart; such cases are counted and printed.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    io::BufWriter,
    path::{Path, PathBuf},
};

use candle_core::{D, Tensor};
use futures::executor::block_on;
use llama_hub::{Cache, KnownModel};
use llama_rs::{
    backend::{Device, ops::linear::Activations, weight::WeightDtype},
    engine::{EmbedRequest, LlamaEngine, Overlong},
    kv::{BlockPool, Holder, PagedCache},
    models::{Batch, Checkpoint, Decoder, DecoderOptions, Output, Span},
    runtime::{CandleEngine, EngineOptions},
    tokenizer::{AddSpecial, ParseSpecial, Tokenizer},
};
use serde_json::Value;

const TOLERANCE: f32 = 1e-3;
const NEAR_TIE: f64 = 0.01;

/// A decoder with one sequence in its cache.
struct Model {
    decoder: Decoder,
    cache: PagedCache,
    pool: BlockPool,
}

impl Model {
    fn load(path: &Path) -> Self {
        let backend = Device::Cpu.backend().unwrap();
        let checkpoint = Checkpoint::open(path).unwrap();
        let options = DecoderOptions { activations: Activations::Exact, ..DecoderOptions::default() };
        let decoder = Decoder::new(&checkpoint, &*backend, options).unwrap();
        let config = decoder.cache_config(64, 16);
        let pool = BlockPool::new(config.num_blocks, config.block_len);
        Self { cache: PagedCache::new(config, &*backend).unwrap(), decoder, pool }
    }

    /// Logits after every token; the sequence is computed up to each of `ends` in turn.
    fn logits(&mut self, all: &[u32], ends: impl IntoIterator<Item = usize>) -> Vec<Vec<f32>> {
        let mut table = self.pool.open(&[], Holder::Sequence);
        let mut rows = Vec::new();
        for end in ends {
            let start = table.len();
            self.pool.reserve(&mut table, end).unwrap();
            let span = Span {
                tokens: all[start..end].to_vec(),
                first_position: start,
                blocks: table.indices(),
                output: Output::AllLogits,
            };
            let batch = Batch::new(vec![span], self.pool.block_len()).unwrap();
            let logits = self.decoder.forward(&batch, &mut self.cache).unwrap().remove(0).unwrap();
            rows.extend(logits.to_vec2::<f32>().unwrap());
            self.pool.commit(&mut table, &all[..end]);
        }
        self.pool.close(table);
        self.pool.clear_cached();
        rows
    }
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let logits = Tensor::new(logits, &candle_core::Device::Cpu).unwrap();
    let maximum = logits.max(D::Minus1).unwrap();
    let shifted = logits.broadcast_sub(&maximum).unwrap();
    let total = shifted.exp().unwrap().sum_all().unwrap().log().unwrap();
    shifted.broadcast_sub(&total).unwrap().to_vec1().unwrap()
}

fn argmax(logits: &[f32]) -> u32 {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap() as u32
}

/// Compares one model with the reference. Returns the number of near-ties that went the other way.
fn check(path: &Path, file: &str, model_name: &str) -> usize {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    let reference: Value = serde_json::from_slice(&std::fs::read(data).unwrap()).unwrap();
    let prompts = reference["models"][model_name]["prompts"].as_array().expect("the model is in the file");
    let mut model = Model::load(path);
    let (mut num_near_ties, mut worst) = (0, 0f32);
    for prompt in prompts {
        let (tokens, greedy) = (ids(&prompt["ids"]), ids(&prompt["greedy_ids"]));
        let all = [tokens.as_slice(), &greedy].concat();
        let rows = model.logits(&all, tokens.len()..all.len());
        for (i, expected) in floats(&prompt["prompt_logprobs"]).into_iter().enumerate() {
            let found = log_softmax(&rows[i])[tokens[i + 1] as usize];
            worst = worst.max((found - expected as f32).abs());
        }
        let margins = prompt.get("margins").or(prompt.get("margin")).map(floats).unwrap();
        for (step, row) in rows[tokens.len() - 1..].iter().enumerate() {
            for pair in prompt["top5"][step].as_array().unwrap() {
                let found = row[pair[0].as_u64().unwrap() as usize];
                worst = worst.max((found - pair[1].as_f64().unwrap() as f32).abs());
            }
            if argmax(row) != greedy[step] {
                assert!(margins[step] < NEAR_TIE, "step {step}: margin {}", margins[step]);
                num_near_ties += 1;
            }
        }
    }
    println!("{model_name}: worst difference {worst:e}, near-ties that differ: {num_near_ties}");
    assert!(worst <= TOLERANCE, "{model_name}: {worst}");
    num_near_ties
}

fn asset(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets").join(name)
}

/// Mean negative log-likelihood of a text of our own, whole and in chunks of several sizes.
#[test]
fn perplexity_is_the_same_in_chunks() {
    let mut model = Model::load(&asset("bard"));
    let tokenizer = Tokenizer::from_file(asset("bard").join("tokenizer.json")).unwrap();
    let text = include_str!("goldens.rs");
    let tokens = tokenizer.encode(text, AddSpecial::Yes, ParseSpecial::No).unwrap();
    let tokens = &tokens[..900];
    let mut perplexity = |chunk: usize| {
        let ends = (1..=tokens.len().div_ceil(chunk)).map(|i| (i * chunk).min(tokens.len()));
        let rows = model.logits(tokens, ends);
        let pairs = rows.iter().zip(&tokens[1..]);
        let total: f64 = pairs.map(|(row, &next)| -f64::from(log_softmax(row)[next as usize])).sum();
        (total / (tokens.len() - 1) as f64).exp()
    };
    let whole = perplexity(tokens.len());
    assert!(whole.is_finite() && whole > 1.0, "{whole}");
    for chunk in [1, 7, 64, 512] {
        assert_eq!(perplexity(chunk), whole, "chunks of {chunk}");
    }
}

#[test]
fn bard() {
    check(&asset("bard"), "reference_bard.json", "bard");
}

#[test]
fn bard_draft() {
    check(&asset("bard-draft"), "reference_bard.json", "bard-draft");
}

/// A downloaded model. Its tests fail without it: not running must not read as a pass.
fn cached(name: &str) -> PathBuf {
    let model = KnownModel::find(name).expect("a known model");
    let found = Cache::from_env().unwrap().find(model);
    found.unwrap_or_else(|| panic!("run `cargo xtask model fetch {name}` first"))
}

#[test]
fn smollm2() {
    let model = "SmolLM2-135M-Instruct-gguf-exact";
    check(&cached("smollm2"), "reference_smollm2.json", model);
}

/// The reference rounded the decoded weights to f16, and so does this test.
#[test]
fn qwen2_5_coder() {
    let model = "Qwen2.5-Coder-0.5B-Instruct-f16";
    let rounded = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    let checkpoint = Checkpoint::open(&cached("qwen2.5-coder-0.5b")).unwrap();
    checkpoint.write_dense(WeightDtype::F16, BufWriter::new(rounded.as_file())).unwrap();
    check(rounded.path(), "reference_qwen2.5-coder-0.5b.json", model);
}

/// Vectors of MiniLM against sentence-transformers. Tolerance: 1e-6 on components of vectors of length one.
#[test]
fn minilm() {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/minilm_embeddings.json");
    let reference: Value = serde_json::from_slice(&std::fs::read(data).unwrap()).unwrap();
    let cases = reference["cases"].as_array().unwrap();
    let texts = cases.iter().map(|case| case["text"].as_str().unwrap());
    let options = EngineOptions::default();
    let embedded = block_on(async {
        let engine = CandleEngine::load(cached("minilm"), options).await.unwrap();
        assert_eq!(engine.info().embedding.max_tokens, 256, "as sentence-transformers reads no more");
        engine.embed(EmbedRequest { overlong: Overlong::Cut, ..EmbedRequest::new(texts) }).await.unwrap()
    });
    let mut worst = 0.0;
    for (text_idx, (case, vector)) in cases.iter().zip(&embedded.vectors).enumerate() {
        let num_tokens = case["num_tokens"].as_u64().unwrap();
        assert_eq!(embedded.cut_texts.contains(&text_idx), num_tokens > 256, "{}", case["text"]);
        let expected = floats(&case["vector"]);
        let distances =
            vector.iter().zip(&expected).map(|(found, expected)| (f64::from(*found) - expected).abs());
        let distance = distances.fold(0.0, |worst, x| if x > worst || x.is_nan() { x } else { worst });
        assert!(distance <= 1e-6, "{}: {distance:e}", case["text"]);
        worst = distance.max(worst);
    }
    println!("minilm: {} texts, worst difference {worst:e}", cases.len());
    assert!(cases.len() > 40);
}
