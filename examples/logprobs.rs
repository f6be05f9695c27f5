//! What a model thinks of a text: every token coloured by its probability, likely ones green, surprising ones red.

mod common;

use clap::Parser;
use llama_rs::prelude::*;

/// Show how likely each token of a text is, and of what comes after it
#[derive(Parser)]
struct Args {
    /// The text
    #[arg(default_value = "HAMLET.\nTo be, or not to be, that is the fish.\n")]
    text: String,
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "bard")]
    model: String,
    /// auto, cpu, metal or cuda
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Tokens to go on with
    #[arg(long, default_value_t = 16)]
    max_tokens: usize,
    /// One line a token, with this many of the most likely ones in its place
    #[arg(long)]
    alternatives: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(show(Args::parse()))
}

async fn show(args: Args) -> anyhow::Result<()> {
    let engine = common::load(&args.model, args.device).await?;
    let num = args.alternatives.unwrap_or(0);
    let request = GenerateRequest::new(args.text.as_str()).with_max_tokens(args.max_tokens);
    let mut stream = engine.generate(request.with_logprobs(num).with_prompt_logprobs(num)).await?;
    while let Some(event) = stream.next_event().await? {
        let tokens = match event {
            Event::Prompt(prompt) => prompt.tokens,
            Event::Token(token) => vec![PromptToken { id: token.id, logprobs: token.logprobs }],
            Event::Citation(_) | Event::Finished(_) => Vec::new(),
        };
        for PromptToken { id, logprobs } in tokens {
            let unknown = vec![TokenLogprob { id, logprob: f32::NAN }];
            for TokenLogprob { id, logprob } in logprobs.unwrap_or(unknown) {
                let text = engine.detokenize(&[id]).await?;
                // From red to green in equal steps of the logarithm, of the terminal's 256 colours.
                let level = (8.0 + logprob).clamp(0.0, 8.0) as usize;
                let colour = [196, 202, 208, 214, 220, 190, 154, 118, 46][level];
                match args.alternatives {
                    Some(_) => print!("\x1b[38;5;{colour}m{text:?} {:.3}\x1b[0m  ", logprob.exp()),
                    None => print!("\x1b[38;5;{colour}m{text}\x1b[0m"),
                }
            }
            print!("{}", if args.alternatives.is_some() { "\n" } else { "" });
        }
    }
    Ok(())
}
