//! The same program, local and remote: `--url` says where the model runs, and nothing else changes.
//!
//! Without `--url` the bundled model runs here; with it, any OpenAI-compatible server answers, such as
//! `cargo run --release -p llama-server`.

mod common;

use clap::Parser;
use llama_remote::RemoteEngine;
use llama_rs::prelude::*;

/// Continue a text, here or elsewhere
#[derive(Parser)]
struct Args {
    /// The text to continue
    #[arg(default_value = "HAMLET.\nTo be, or")]
    prompt: String,
    /// A server, such as http://127.0.0.1:8080 (may be repeated); without one the model runs here
    #[arg(long)]
    url: Vec<String>,
    /// What the server asks for
    #[arg(long)]
    api_key: Option<String>,
    /// The model that runs here
    #[arg(long, default_value = "bard")]
    model: String,
    /// Most tokens to generate
    #[arg(long, default_value_t = 64)]
    max_tokens: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if args.url.is_empty() {
        return ask(&common::load(&args.model, Device::auto()).await?, &args).await;
    }
    let servers = args.url.iter().fold(RemoteEngine::builder(), |builder, url| builder.endpoint(url));
    let engine = match &args.api_key {
        Some(key) => servers.api_key(key).connect().await?,
        None => servers.connect().await?,
    };
    ask(&engine, &args).await
}

/// Knows nothing of where the model runs.
async fn ask(engine: &impl LlamaEngine, args: &Args) -> anyhow::Result<()> {
    let info = engine.info();
    eprintln!("[{} on {}, {} tokens of context]", info.model, info.device, info.context_len);
    let request = GenerateRequest::new(args.prompt.as_str()).with_max_tokens(args.max_tokens);
    print!("{}", args.prompt);
    common::print_answer(engine, request).await?;
    Ok(())
}
