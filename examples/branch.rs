//! One pinned context, several questions: the context is computed once and every answer starts from it.

mod common;

use clap::Parser;
use llama_rs::prelude::*;

/// Pin a text and ask several questions about it
#[derive(Parser)]
struct Args {
    /// A text file to read first; a passage about tides if absent
    #[arg(long)]
    file: Option<std::path::PathBuf>,
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "smollm2")]
    model: String,
    /// auto, cpu, metal or cuda
    #[arg(long, default_value = "auto")]
    device: Device,
    /// What to ask
    #[arg(default_values = ["What causes tides?", "How often is high tide?", "What is a neap tide?"])]
    questions: Vec<String>,
}

const TIDES: &str = "Tides are the rise and fall of sea levels. They are caused by the pull of the Moon and, less, of \
    the Sun, and by the turning of the Earth. Most coasts have two high tides a day. When Sun and Moon pull in one \
    line the range is largest: a spring tide. When they pull at right angles it is smallest: a neap tide.";

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(branch(Args::parse()))
}

async fn branch(args: Args) -> anyhow::Result<()> {
    let engine = common::load(&args.model, args.device).await?;
    let text = args.file.map(std::fs::read_to_string).transpose()?;
    let text = text.as_deref().unwrap_or(TIDES);
    let start = std::time::Instant::now();
    let context =
        engine.pin(Prompt::from(format!("{text}\n\nQuestions and answers about this text.\n"))).await?;
    println!("pinned {} tokens in {:.0} ms", context.len(), start.elapsed().as_secs_f64() * 1e3);
    for question in &args.questions {
        println!("\n{question}");
        let request = GenerateRequest::new(format!("\nQuestion: {question}\nAnswer:"))
            .with_context(context.clone())
            .with_stop("\n")
            .with_max_tokens(48);
        common::print_answer(&engine, request).await?;
    }
    Ok(())
}
