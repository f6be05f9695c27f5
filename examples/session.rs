//! A context that outlives the program: the first run reads a text and saves it, later runs go on from the file.

mod common;

use std::{path::PathBuf, time::Instant};

use clap::Parser;
use llama_rs::prelude::*;

/// Ask about a text that is read once and kept in a file
#[derive(Parser)]
struct Args {
    /// The session; made from --text if there is none yet
    session: PathBuf,
    /// What to ask
    #[arg(default_value = "What is this text about?")]
    question: String,
    /// A text file to read
    #[arg(long, default_value = "README.md")]
    text: PathBuf,
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "smollm2")]
    model: String,
    /// auto, cpu, metal or cuda
    #[arg(long, default_value = "auto")]
    device: Device,
}

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(session(Args::parse()))
}

async fn session(args: Args) -> anyhow::Result<()> {
    let engine = common::load(&args.model, args.device).await?;
    let start = Instant::now();
    let (context, how) = match args.session.exists() {
        true => (engine.restore_context(&args.session).await?, "restored"),
        false => {
            let mut text = std::fs::read_to_string(&args.text)?;
            text.truncate(text.floor_char_boundary(6000)); // a small model loses the thread of long texts
            let context = engine.pin(Prompt::from(format!("{text}\n\nQuestions and answers.\n"))).await?;
            engine.save_context(&context, &args.session).await?;
            (context, "computed and saved")
        }
    };
    println!("{} tokens {how} in {:.0} ms", context.len(), start.elapsed().as_secs_f64() * 1e3);
    let request = GenerateRequest::new(format!("\nQuestion: {}\nAnswer:", args.question))
        .with_context(context)
        .with_stop("\n")
        .with_max_tokens(48);
    common::print_answer(&engine, request).await?;
    Ok(())
}
