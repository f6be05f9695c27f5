//! Logits and greedy tokens against transformers in f32 (`tests/data`, provenance inside each file).
//!
//! Tolerance: 1e-3 on logits and log-probabilities. A greedy token may differ only where the reference's two best
//! logits are less than [`NEAR_TIE`] apart; such cases are counted and printed.

use std::path::{Path, PathBuf};

use candle_core::{D, Tensor};
use llama_hub::{Cache, KnownModel};
use llama_rs::{
    backend::Device,
    kv::{BlockPool, CacheConfig, Holder, PagedCache},
    models::{Batch, Checkpoint, Decoder, DecoderOptions, Output, Span},
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
        let decoder = Decoder::new(&checkpoint, &*backend, DecoderOptions::default()).unwrap();
        let config = decoder.config();
        let config = CacheConfig {
            num_layers: config.num_hidden_layers,
            num_kv_heads: config.attention.num_key_value_heads,
            head_dim: config.attention.head_dim,
            num_blocks: 64,
            block_len: 16,
            dtype: decoder.dtype(),
        };
        let pool = BlockPool::new(config.num_blocks, config.block_len);
        Self { cache: PagedCache::new(config, &*backend).unwrap(), decoder, pool }
    }

    /// Logits after every prompt token and after every forced token.
    fn logits(&mut self, prompt: &[u32], forced: &[u32]) -> Vec<Vec<f32>> {
        let mut table = self.pool.open(&[], Holder::Sequence);
        let all = [prompt, forced].concat();
        let mut rows = Vec::new();
        for end in prompt.len()..all.len() {
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
        let rows = model.logits(&tokens, &greedy);
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

#[test]
fn qwen2_5_coder() {
    let model = "Qwen2.5-Coder-0.5B-Instruct-f16";
    check(&cached("qwen2.5-coder-0.5b"), "reference_qwen2.5-coder-0.5b.json", model);
}
