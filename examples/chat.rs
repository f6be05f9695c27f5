//! Chat: `chat "Why is the sky blue?"` answers once, `chat` without a question holds a conversation.

mod common;

use std::io::{self, BufRead};

use clap::Parser;
use llama_rs::prelude::*;

/// Ask a model, or talk with it when no question is given
#[derive(Parser)]
struct Args {
    /// The question
    question: Option<String>,
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "smollm2")]
    model: String,
    /// auto, cpu, metal or cuda
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Most tokens of an answer
    #[arg(long, default_value_t = 512)]
    max_tokens: usize,
    /// 0 always takes the most likely token
    #[arg(long, default_value_t = 0.2)]
    temperature: f32,
    /// The same seed gives the same answer
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(chat(Args::parse()))
}

async fn chat(args: Args) -> anyhow::Result<()> {
    let engine = common::load(&args.model, args.device).await?;
    let sampling = Sampling { temperature: args.temperature, seed: args.seed, ..Sampling::default() };
    let mut history = Vec::new();
    let mut answer = async |question: String| {
        history.push(Message::user(question));
        let request = GenerateRequest::new(history.clone())
            .with_sampling(sampling.clone())
            .with_max_tokens(args.max_tokens);
        let text = common::print_answer(&engine, request).await?;
        history.push(Message::assistant(text));
        anyhow::Ok(())
    };
    if let Some(question) = args.question {
        return answer(question).await;
    }
    let mut lines = io::stdin().lock().lines();
    loop {
        eprint!("> ");
        match lines.next().transpose()? {
            Some(line) if !line.trim().is_empty() => answer(line).await?,
            _ => return Ok(()),
        }
    }
}
