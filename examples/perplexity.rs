//! What rounding activations to eight bits costs: `cargo run --release --example perplexity -- smollm2 text.txt`.

use std::path::{Path, PathBuf};

use clap::Parser;
use llama_hub::TerminalProgress;
use llama_rs::{
    backend::ops::linear::Activations,
    kv::PagedCache,
    models::{Batch, Checkpoint, Decoder, DecoderOptions, Output, Span},
    prelude::*,
};

const WINDOW: usize = 512;

/// Compare the perplexity of a text file with exact and with rounded activations
#[derive(Parser)]
struct Options {
    model: String,
    text: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Options { model, text } = Options::parse();
    let path = llama_hub::resolve(&model, &TerminalProgress::new())?;
    let engine = futures::executor::block_on(CandleEngine::load(&path, EngineOptions::default()))?;
    let tokens = futures::executor::block_on(engine.tokenize(&std::fs::read_to_string(text)?))?;
    let exact = perplexity(&path, Activations::Exact, &tokens)?;
    let int8 = perplexity(&path, Activations::Int8, &tokens)?;
    println!("{} tokens: exact {exact:.4}, int8 {int8:.4}, ratio {:.4}", tokens.len(), int8 / exact);
    Ok(())
}

fn perplexity(path: &Path, activations: Activations, tokens: &[u32]) -> anyhow::Result<f64> {
    let backend = Device::Cpu.backend()?;
    let options = DecoderOptions { activations, ..DecoderOptions::default() };
    let decoder = Decoder::new(&Checkpoint::open(path)?, &*backend, options)?;
    let config = decoder.cache_config(1, WINDOW);
    let mut cache = PagedCache::new(config, &*backend)?;
    let (mut losses, output) = (Vec::new(), Output::AllLogits);
    for tokens in tokens.chunks(WINDOW) {
        let span = Span { tokens: tokens.into(), first_position: 0, blocks: vec![0], output };
        let outputs = decoder.forward(&Batch::new(vec![span], WINDOW)?, &mut cache)?;
        let logits = outputs[0].as_ref().expect("the span wants logits"); // [t, v]
        let normalisers = logits.log_sum_exp(1)?.to_vec1::<f32>()?;
        for (i, &next) in tokens.iter().enumerate().skip(1) {
            let logit = logits.get(i - 1)?.get(next as usize)?.to_scalar::<f32>()?;
            losses.push(f64::from(normalisers[i - 1] - logit));
        }
    }
    Ok((losses.iter().sum::<f64>() / losses.len() as f64).exp())
}
