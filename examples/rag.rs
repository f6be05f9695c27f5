//! Answers from a folder of texts, each with its sources: the folder is indexed, and what fits a question is read once and cited.

mod common;

use std::{io::Write, path::PathBuf, sync::Arc};

use clap::Parser;
use llama_rag::{
    Collection, CollectionSettings, FolderOptions, Reader, ReaderSettings, SearchOptions, Style,
};
use llama_rs::prelude::*;

/// Ask about the Markdown and text files of a folder
#[derive(Parser)]
struct Args {
    /// The folder; files that have not changed since the last time are not embedded again
    folder: PathBuf,
    /// What to ask
    question: Option<String>,
    /// Ask more, line by line
    #[arg(long)]
    interactive: bool,
    /// Where the index is kept
    #[arg(long, default_value = "target/rag.store")]
    store: PathBuf,
    /// Model that embeds: a known name, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "minilm")]
    embedder: String,
    /// Model that answers, likewise; smollm2 is too small to tell passages apart
    #[arg(long, default_value = "qwen2.5-coder-0.5b")]
    model: String,
    /// chat, or plain for a model without a chat template
    #[arg(long, default_value = "chat")]
    style: Style,
}

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(rag(Args::parse()))
}

async fn rag(args: Args) -> anyhow::Result<()> {
    let embedder = Arc::new(common::load(&args.embedder, Device::auto()).await?);
    let mut texts = Collection::open(&args.store, embedder, CollectionSettings::default())?;
    eprintln!("{}\n", texts.sync_folder(&args.folder, &FolderOptions::default()).await?);
    let answerer = Arc::new(common::load(&args.model, Device::auto()).await?);
    let mut reader = Reader::new(answerer, ReaderSettings { style: args.style, ..ReaderSettings::default() });
    let lines = args.interactive.then(|| std::io::stdin().lines());
    for question in args.question.map(Ok).into_iter().chain(lines.into_iter().flatten()) {
        let question = question?;
        let hits = texts.search(&question, &SearchOptions::default()).await?;
        reader.read(hits.into_iter().map(|hit| hit.chunk)).await?;
        let mut answer = reader.ask(&question).await?;
        while let Some(event) = answer.next_event().await? {
            print!("{event}");
            std::io::stdout().flush()?;
        }
    }
    Ok(())
}
