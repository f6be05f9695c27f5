//! An answer with and without drafting ahead: the same one, in less time.

mod common;

use anyhow::Context;
use clap::Parser;
use llama_rs::{
    prelude::*,
    runtime::speculation::{DrafterChoice, PromptLookup, SpeculationOptions},
};

/// Answer with and without speculation
#[derive(Parser)]
struct Args {
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "smollm2")]
    model: String,
    /// What drafts: lookup, q4_0 (the model itself, quantised harder), or another model of the same vocabulary
    #[arg(long, default_value = "lookup")]
    draft: String,
    /// Most tokens of a draft
    #[arg(long, default_value_t = 8)]
    max_draft_len: usize,
    /// 0 always takes the most likely token
    #[arg(long, default_value_t = 0.0)]
    temperature: f32,
    /// What to ask
    #[arg(
        default_value = "Repeat this, word for word: 'The ferry leaves the old harbour at seven in the morning, calls \
        at the lighthouse at eight, and is back at the old harbour at nine, if the weather allows it.'"
    )]
    question: String,
}

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(speculate(Args::parse()))
}

async fn speculate(args: Args) -> anyhow::Result<()> {
    let path = llama_hub::resolve(&args.model, &llama_hub::TerminalProgress::new())?;
    let drafter = match (args.draft.as_str(), args.draft.parse()) {
        ("lookup", _) => DrafterChoice::PromptLookup(PromptLookup::default()),
        (_, Ok(quantization)) => DrafterChoice::Quantized(quantization),
        (model, _) => DrafterChoice::Model(llama_hub::resolve(model, &llama_hub::TerminalProgress::new())?),
    };
    let speculation =
        SpeculationOptions { max_draft_len: args.max_draft_len, ..SpeculationOptions::new(drafter) };
    let options = EngineOptions { speculation: Some(speculation), ..EngineOptions::default() };
    let engine = CandleEngine::load(&path, options).await.context(args.model)?;
    for speculation in [Speculation::Off, Speculation::Auto] {
        let sampling = Sampling { temperature: args.temperature, seed: Some(1), ..Sampling::default() };
        let request = GenerateRequest::new([Message::user(&args.question)])
            .with_sampling(sampling)
            .with_speculation(speculation)
            .with_max_tokens(256);
        println!("\n{speculation:?}");
        common::print_answer(&engine, request).await?;
    }
    Ok(())
}
