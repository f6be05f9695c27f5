//! An answer that is interrupted, kept, and continued: nothing is computed twice, and nothing is lost.

mod common;

use clap::Parser;
use llama_rs::prelude::*;

/// Interrupt an answer after some tokens and continue it
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
    /// Interrupt after this many tokens
    #[arg(long, default_value_t = 20)]
    after: usize,
}

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(resume(Args::parse()))
}

async fn resume(args: Args) -> anyhow::Result<()> {
    let engine = common::load(&args.model, args.device).await?;
    let request = GenerateRequest::new(args.prompt.as_str()).with_keep(KeepContext::Yes).with_max_tokens(200);
    let mut stream = engine.generate(request).await?;
    let mut num_tokens = 0;
    let context = loop {
        match stream.next_event().await? {
            Some(Event::Prompt(_) | Event::Citation(_)) => {}
            Some(Event::Token(token)) => {
                print!("{}", token.text);
                num_tokens += 1;
                if num_tokens == args.after {
                    stream.stop();
                }
            }
            Some(Event::Finished(end)) => {
                println!("{} [{:?} after {} tokens]", end.text, end.reason, end.usage.completion_tokens);
                break end.context;
            }
            None => anyhow::bail!("the stream ended without an end"),
        }
    };
    let context = context.expect("the request asked for it");
    let rest = GenerateRequest::new(Prompt::Tokens(Vec::new())).with_context(context).with_max_tokens(60);
    common::print_answer(&engine, rest).await?;
    Ok(())
}
