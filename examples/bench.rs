//! Speed of a model's decoder as one line of JSON: `cargo run --release --example bench -- smollm2 --depth 128`.
//! Decode counts the new tokens of `batch` sequences, each behind `depth` cached tokens. The best round counts.

#[path = "../benches/common/mod.rs"]
mod common;

use clap::Parser;
use common::{DeviceOptions, PoolOptions};
use llama_hub::TerminalProgress;
use llama_rs::backend::simd::Isa;

/// Measure prefill and decode of a model
#[derive(Parser)]
struct Options {
    /// A known model's name, a GGUF file or a directory
    model: String,
    #[command(flatten)]
    pool: PoolOptions,
    #[command(flatten)]
    device: DeviceOptions,
    #[arg(long, default_value_t = 512)]
    prompt: usize,
    #[arg(long, default_value_t = 64)]
    decode: usize,
    #[arg(long, default_value_t = 0)]
    depth: usize,
    #[arg(long, default_value_t = 1)]
    batch: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

fn main() -> anyhow::Result<()> {
    let Options { model, pool, device, prompt, decode, depth, batch, rounds } = Options::parse();
    let pool = pool.choose();
    let path = llama_hub::resolve(&model, &TerminalProgress::new())?;
    let mut workload = device.open(&path, batch, prompt.max(depth + decode))?;
    let (mut prefill_tok_s, mut decode_tok_s) = (0f64, 0f64);
    for round in 0..=rounds {
        workload.rewind(0);
        let prefill = prompt as f64 / workload.seconds(|workload| workload.feed(1, prompt))?;
        workload.rewind(0);
        workload.feed(batch, depth)?;
        let seconds = workload.seconds(|workload| (0..decode).try_for_each(|_| workload.feed(batch, 1)))?;
        let decode = (decode * batch) as f64 / seconds;
        if round > 0 {
            (prefill_tok_s, decode_tok_s) = (prefill_tok_s.max(prefill), decode_tok_s.max(decode));
        }
    }
    let (threads, cores, isa) = (pool.num_threads(), pool.affinity(), Isa::detect());
    let common::Weights { format, num_bytes, num_layer_weights, num_head_weights } = workload.weights();
    println!(
        r#"{{"model": {model:?}, "threads": {threads}, "cores": "{cores}", "isa": "{isa}", "device": {:?}, "prompt": {prompt}, "depth": {depth}, "batch": {batch}, "prefill_tok_s": {prefill_tok_s:.1}, "decode_tok_s": {decode_tok_s:.1}, "format": "{format}", "weight_bytes": {num_bytes}, "layer_weights": {num_layer_weights}, "head_weights": {num_head_weights}}}"#,
        workload.device_name()
    );
    Ok(())
}
