//! Finds the passages of a folder that fit a question, by meaning, by word, or both.

mod common;

use std::{path::PathBuf, sync::Arc};

use clap::Parser;
use llama_rag::{Collection, CollectionSettings, Filter, FolderOptions, Ranking, SearchOptions};
use llama_rs::prelude::*;

/// Search the Markdown and text files of a folder
#[derive(Parser)]
struct Args {
    /// The folder; files that have not changed since the last time are not embedded again
    folder: PathBuf,
    /// What to look for
    question: String,
    /// vectors, words, or fused: both
    #[arg(long, default_value = "fused")]
    ranking: Ranking,
    /// Only files under this path of the folder
    #[arg(long, default_value = "")]
    under: String,
    /// How many passages to show
    #[arg(long, default_value_t = 5)]
    hits: usize,
    /// Where the index is kept
    #[arg(long, default_value = "target/rag.store")]
    store: PathBuf,
    /// Model that embeds: a known name, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "minilm")]
    embedder: String,
}

fn main() -> anyhow::Result<()> {
    futures::executor::block_on(search(Args::parse()))
}

async fn search(args: Args) -> anyhow::Result<()> {
    let embedder = Arc::new(common::load(&args.embedder, Device::auto()).await?);
    let mut texts = Collection::open(&args.store, embedder, CollectionSettings::default())?;
    eprintln!("{}", texts.sync_folder(&args.folder, &FolderOptions::default()).await?);
    let (num_hits, ranking, filter) = (args.hits, args.ranking, Filter::under(args.under));
    let options = SearchOptions { num_hits, ranking, filter, ..SearchOptions::default() };
    for hit in texts.search(&args.question, &options).await? {
        println!("{hit}\n");
    }
    Ok(())
}
