//! Free text whose citations can only be of the passages it was given.

mod common;

use clap::Parser;
use llama_rs::prelude::*;

/// Answer a question from numbered passages, with citations
#[derive(Parser)]
struct Args {
    /// The question
    #[arg(default_value = "Why are there tides, and when are they largest?")]
    question: String,
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "qwen2.5-coder-0.5b")]
    model: String,
    /// auto, cpu, metal or cuda
    #[arg(long, default_value = "auto")]
    device: Device,
}

const PASSAGES: [(u32, &str); 3] = [
    (3, "Tides are caused by the pull of the Moon and, less, of the Sun, and by the turning of the Earth"),
    (8, "When Sun and Moon pull in one line, at new and full moon, the range is largest: a spring tide"),
    (12, "Most coasts have two high tides a day, about twelve hours and twenty-five minutes apart"),
];

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(cite(Args::parse()))
}

async fn cite(args: Args) -> anyhow::Result<()> {
    let engine = common::load(&args.model, args.device).await?;
    // The number stands where an answer would cite it: small models copy it with the words.
    let passages: String = PASSAGES.iter().map(|(id, text)| format!("{text} [{id}].\n")).collect();
    let task = "Answer from these passages in two sentences, and cite them by their numbers.";
    let message = Message::user(format!("{task}\n\n{passages}\n{}", args.question));
    let ids = PASSAGES.iter().map(|(id, _)| *id).collect();
    let citing = CitationGrammar { ids, required: RequiredCitations::PerSentence };
    let request =
        GenerateRequest::new([message]).with_grammar(Grammar::Citations(citing)).with_max_tokens(160);
    let completion = engine.generate(request).await?.collect().await?;
    println!("{}\n", completion.text);
    for Citation { id, range, .. } in completion.citations {
        let passage = PASSAGES.iter().find(|(known, _)| *known == id).map_or("", |(_, text)| text);
        println!("bytes {}..{} cite {id}: {passage}", range.start, range.end);
    }
    // What is certain is that each marker points to a passage, not that the passage supports the sentence.
    Ok(())
}
