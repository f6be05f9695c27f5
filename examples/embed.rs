//! Vectors of texts: JSON lines in, JSON lines out.

mod common;

use std::io::{self, BufRead, BufReader, Read};

use anyhow::Context;
use clap::Parser;
use futures::executor::block_on;
use llama_rs::{engine::Pooling, prelude::*};
use serde_json::{Value, json};

/// Embed JSON lines: each a string, or an object with "text", and "id" if wanted
#[derive(Parser)]
struct Args {
    /// The file; standard input if absent
    file: Option<std::path::PathBuf>,
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
    let engine = block_on(common::load(&args.model, args.device))?;
    let cut = if args.untrained { Dimensions::Untrained } else { Dimensions::Trained };
    let (input, pooling, dimensions) = (args.input, args.pooling, args.dimensions.map(cut));
    let stdin = || Ok(Box::new(io::stdin()) as Box<dyn Read>);
    let file = args.file.map_or_else(stdin, |path| io::Result::Ok(Box::new(std::fs::File::open(path)?)))?;
    let parse = |line: io::Result<String>| -> anyhow::Result<(Value, String)> {
        let line: Value = serde_json::from_str(&line?)?;
        let text = line.as_str().or(line["text"].as_str()).context("no text")?;
        Ok((line["id"].clone(), text.to_owned()))
    };
    let numbered = |(i, line)| parse(line).with_context(|| format!("line {i}"));
    let mut lines = (1..).zip(BufReader::new(file).lines()).map(numbered).peekable();
    while lines.peek().is_some() {
        let (ids, texts): (Vec<_>, Vec<String>) = lines.by_ref().take(64).collect::<anyhow::Result<_>>()?;
        let request = EmbedRequest { input, pooling, dimensions, ..EmbedRequest::new(texts) };
        for (id, vector) in ids.iter().zip(block_on(engine.embed(request))?.vectors) {
            println!("{}", json!({"id": id, "embedding": vector}));
        }
    }
    Ok(())
}
