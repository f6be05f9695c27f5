//! Vectors of texts: JSON lines in, JSON lines out.

mod common;

use std::{fs, io, path::PathBuf};

use anyhow::Context;
use clap::Parser;
use llama_rs::{engine::Pooling, prelude::*};
use serde_json::{Value, json};

/// Embed the texts of JSON lines: each a string, or an object with "text", and "id" if wanted
#[derive(Parser)]
struct Args {
    /// The file; standard input if absent
    file: Option<PathBuf>,
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "minilm")]
    model: String,
    /// auto, cpu, metal or cuda
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Leading components to keep
    #[arg(long)]
    dimensions: Option<usize>,
    /// Keep them even if the model is not known to be trained for it
    #[arg(long, requires = "dimensions")]
    untrained: bool,
    /// What the texts are for, and so which of the model's prefixes they get: plain, query or document
    #[arg(long, default_value = "plain")]
    input: EmbedInput,
    /// mean, weighted-mean, first or last; as the model was trained if absent
    #[arg(long)]
    pooling: Option<Pooling>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let lines = args.file.as_ref().map_or_else(|| io::read_to_string(io::stdin()), fs::read_to_string)?;
    let lines: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    futures::executor::block_on(embed(args, &lines))
}

async fn embed(args: Args, lines: &[Value]) -> anyhow::Result<()> {
    let engine = common::load(&args.model, args.device).await?;
    let text = |line: &Value| line.as_str().or(line["text"].as_str()).map(str::to_owned);
    let cut = if args.untrained { Dimensions::Untrained } else { Dimensions::Trained };
    let texts = lines.iter().map(text).collect::<Option<Vec<_>>>().context("a line without a text")?;
    let (input, pooling, dimensions) = (args.input, args.pooling, args.dimensions.map(cut));
    for (lines, texts) in lines.chunks(256).zip(texts.chunks(256)) {
        let request = EmbedRequest { input, pooling, dimensions, ..EmbedRequest::new(texts) };
        let vectors = engine.embed(request).await?.vectors;
        for (line, vector) in lines.iter().zip(vectors) {
            println!("{}", json!({"id": line.get("id"), "embedding": vector}));
        }
    }
    Ok(())
}
