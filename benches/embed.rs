//! Vectors per second of MiniLM at 1 to 128 texts a call, through the whole engine: paragraphs and questions of XQuAD.
//!
//! `peer_sentence_transformers.py` beside this file measures the same of sentence-transformers.
//!
//! `EMBED_QUANTIZE=q8_0` (or another format) quantises the matrices first.

use criterion::{Criterion, SamplingMode, Throughput};
use futures::executor::block_on;
use llama_hub::{TerminalProgress, resolve};
use llama_rs::{engine::Overlong, prelude::*};
use serde_json::Value;

const BATCHES: [usize; 4] = [1, 8, 32, 128];
const NUM_TEXTS: usize = 128;

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let quantize = std::env::var("EMBED_QUANTIZE").ok().map(|name| name.parse()).transpose()?;
    let options = EngineOptions { quantize, ..EngineOptions::default() };
    let engine = block_on(CandleEngine::load(resolve("minilm", &TerminalProgress::new())?, options))?;
    for (name, texts) in texts()? {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(texts.len() as u64)).sampling_mode(SamplingMode::Flat);
        for batch in BATCHES {
            // All texts each time: they differ in length, so no part of them stands for the rest.
            let embed = || {
                for call in texts.chunks(batch) {
                    let request = EmbedRequest { overlong: Overlong::Cut, ..EmbedRequest::new(call) };
                    block_on(engine.embed(request)).expect("they are cut");
                }
            };
            group.bench_function(format!("{batch} a call"), |bencher| bencher.iter(embed));
        }
    }
    criterion.final_summary();
    Ok(())
}

/// As many paragraphs, and as many questions, in the order of the file.
fn texts() -> anyhow::Result<[(&'static str, Vec<String>); 2]> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/xquad/xquad.en.json");
    let xquad: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let paragraphs: Vec<Value> =
        list(&xquad["data"]).iter().flat_map(|article| list(&article["paragraphs"])).collect();
    let questions = paragraphs.iter().flat_map(|paragraph| list(&paragraph["qas"]));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok([
        ("paragraphs", paragraphs.iter().map(|value| text(&value["context"])).take(NUM_TEXTS).collect()),
        ("questions", questions.map(|value| text(&value["question"])).take(NUM_TEXTS).collect()),
    ])
}
