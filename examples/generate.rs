//! Raw completion: continues a text as it stands. Needs no network: the default model is bundled.

mod common;

use clap::Parser;
use llama_rs::prelude::*;

/// Continue a text
#[derive(Parser)]
struct Args {
    /// The text to continue
    #[arg(default_value = "HAMLET.\n")]
    prompt: String,
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "bard")]
    model: String,
    /// auto, cpu, metal or cuda
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Most tokens to generate
    #[arg(long, default_value_t = 128)]
    max_tokens: usize,
    #[command(flatten)]
    sampling: common::sampling::SamplingArgs,
    /// End before this text (may be repeated)
    #[arg(long)]
    stop: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(generate(Args::parse()))
}

async fn generate(args: Args) -> anyhow::Result<()> {
    let engine = common::load(&args.model, args.device).await?;
    let mut request = GenerateRequest::new(args.prompt.as_str())
        .with_max_tokens(args.max_tokens)
        .with_sampling(args.sampling.into());
    request.stop = args.stop;
    print!("{}", args.prompt);
    common::print_answer(&engine, request).await?;
    Ok(())
}
