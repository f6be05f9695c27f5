//! A JSON schema, and an answer that is always a value of the type it describes.

mod common;

use anyhow::Context;
use clap::Parser;
use llama_rs::prelude::*;
use serde::Deserialize;

/// Turn a text into a typed value
#[derive(Parser)]
struct Args {
    /// The text
    #[arg(
        default_value = "Mary Anning, born in Lyme Regis in 1799, found an ichthyosaur and two plesiosaurs."
    )]
    text: String,
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "smollm2")]
    model: String,
    /// auto, cpu, metal or cuda
    #[arg(long, default_value = "auto")]
    device: Device,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)] // It is printed as a whole.
struct Person {
    name: String,
    born: Option<u16>,
    known_for: Vec<String>,
}

const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "name": { "type": "string", "minLength": 1, "maxLength": 40 },
        "born": { "anyOf": [{ "type": "null" }, { "type": "integer", "minimum": 1000, "maximum": 2100 }] },
        "known_for": { "type": "array", "items": { "type": "string", "maxLength": 60 }, "minItems": 1, "maxItems": 3 }
    },
    "required": ["name", "born", "known_for"], "additionalProperties": false
}"#;

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(extract(Args::parse()))
}

async fn extract(args: Args) -> anyhow::Result<()> {
    let engine = common::load(&args.model, args.device).await?;
    let prompt = format!("{}\n\nWho is this about? The answer as JSON:\n", args.text);
    let request = GenerateRequest::new(prompt)
        .with_grammar(Grammar::JsonSchema(SCHEMA.to_owned()))
        .with_max_tokens(200);
    let completion = engine.generate(request).await?.collect().await?;
    println!("{}", completion.text);
    eprintln!("{:?}", completion.finished.usage);
    let person: Person = serde_json::from_str(&completion.text).context("the token limit cut it off")?;
    println!("{person:#?}");
    Ok(())
}
