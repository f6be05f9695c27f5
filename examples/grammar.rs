//! Any grammar on any model: a .gbnf file, a .json schema, a .lark file, or a regular expression.

mod common;

use std::{ffi::OsStr, fs, path::Path};

use anyhow::Context;
use clap::Parser;
use llama_rs::prelude::*;

/// Answer under a grammar
#[derive(Parser)]
struct Args {
    /// A .gbnf, .json (schema) or .lark file; anything else is a regular expression. Some are in examples/grammars
    grammar: String,
    /// The text to continue
    #[arg(default_value = "A list of things to do today:\n")]
    prompt: String,
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "smollm2")]
    model: String,
    /// auto, cpu, metal or cuda
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Most tokens to generate
    #[arg(long, default_value_t = 128)]
    max_tokens: usize,
    /// 0 always takes the most likely token
    #[arg(long, default_value_t = 0.7)]
    temperature: f32,
    /// The same seed gives the same text
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(answer(Args::parse()))
}

async fn answer(args: Args) -> anyhow::Result<()> {
    let read = || fs::read_to_string(&args.grammar).with_context(|| format!("cannot read {}", args.grammar));
    let grammar = match Path::new(&args.grammar).extension().and_then(OsStr::to_str) {
        Some("gbnf") => Grammar::Gbnf(read()?),
        Some("json") => Grammar::JsonSchema(read()?),
        Some("lark") => Grammar::Lark(read()?),
        _ => Grammar::Regex(args.grammar.clone()),
    };
    let engine = common::load(&args.model, args.device).await?;
    let sampling = Sampling { temperature: args.temperature, seed: args.seed, ..Sampling::default() };
    let request = GenerateRequest::new(args.prompt)
        .with_grammar(grammar)
        .with_sampling(sampling)
        .with_max_tokens(args.max_tokens);
    common::print_answer(&engine, request).await?;
    Ok(())
}
