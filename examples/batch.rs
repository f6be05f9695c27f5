//! Many prompts at once against one by one: the same answers, in less time.

mod common;

use std::time::Instant;

use clap::Parser;
use futures::future::try_join_all;
use llama_rs::prelude::*;

/// Answer many prompts at once, then one by one
#[derive(Parser)]
struct Args {
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "bard")]
    model: String,
    /// auto, cpu, metal or cuda
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Number of prompts
    #[arg(long, default_value_t = 32)]
    prompts: usize,
    /// Tokens of each answer
    #[arg(long, default_value_t = 64)]
    max_tokens: usize,
}

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(batch(Args::parse()))
}

async fn batch(args: Args) -> anyhow::Result<()> {
    let engine = common::load(&args.model, args.device).await?;
    let answer = async |seed: usize| {
        let sampling = Sampling { temperature: 0.8, seed: Some(seed as u64), ..Sampling::default() };
        let request = GenerateRequest::new(format!("The {seed}. scene of the play:\n"))
            .with_sampling(sampling)
            .with_max_tokens(args.max_tokens)
            .with_end(EndOfText::Ignored);
        engine.generate(request).await?.collect().await
    };
    let num_tokens = (args.prompts * args.max_tokens) as f64;

    let start = Instant::now();
    let together = try_join_all((0..args.prompts).map(&answer)).await?;
    let together_speed = num_tokens / start.elapsed().as_secs_f64();
    println!("{} at once:  {together_speed:8.1} tokens/s", args.prompts);
    let start = Instant::now();
    let mut num_equal = 0;
    for (seed, completion) in together.iter().enumerate() {
        num_equal += usize::from(answer(seed).await?.tokens == completion.tokens);
    }
    let alone_speed = num_tokens / start.elapsed().as_secs_f64();
    println!(
        "one by one: {alone_speed:8.1} tokens/s: {:.2} times as fast at once",
        together_speed / alone_speed
    );
    println!("{num_equal} of {} answers are the same, token for token", args.prompts);
    Ok(())
}
