//! Citations: each question is answered from the passages that a search finds, and what the answer cites is compared with the passage that it is
//! about.

use std::path::PathBuf;

use clap::Args;
use llama_engine::FinishReason;
use llama_rag::{
    AnswerEnd, Collection, CollectionSettings, Document, Reader, ReaderSettings, SearchOptions, Style,
};

use crate::{
    dataset::{Dataset, XQUAD},
    load,
};

/// What is measured.
#[derive(Args)]
pub(crate) struct Citations {
    /// Model that answers, by name or path
    #[arg(long, default_value = "qwen2.5-coder-0.5b")]
    model: String,
    /// chat, or plain for a model without a chat template
    #[arg(long, default_value = "chat")]
    style: Style,
    /// Model that finds passages, likewise
    #[arg(long, default_value = "minilm")]
    embedder: String,
    /// A file in SQuAD's form, or a folder in BEIR's
    #[arg(long, default_value = XQUAD)]
    data: PathBuf,
    /// Passages to answer from
    #[arg(long, default_value_t = 5)]
    passages: usize,
    /// Questions to ask, at even distances through all of them
    #[arg(long, default_value_t = 50)]
    questions: usize,
}

/// What became of the questions.
#[derive(Default)]
struct Tally {
    asked: usize,
    /// A relevant passage was among those found; the others cannot be cited rightly.
    found: usize,
    ended: usize,
    cited: usize,
    /// The first citation is of a relevant passage.
    right: usize,
}

impl Citations {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let dataset = Dataset::read(&self.data)?;
        let mut passages = Collection::in_memory(load(&self.embedder).await?, CollectionSettings::default())?;
        let document = |(place, text): (usize, &String)| Document::new(name(place), text);
        passages.add(dataset.passages.iter().enumerate().map(document).collect()).await?;
        let answerer = load(&self.model).await?;
        let stride = dataset.questions.len().div_ceil(self.questions.max(1));
        let mut tally = Tally::default();
        for (question, relevant) in dataset.questions.iter().step_by(stride) {
            let options = SearchOptions { num_hits: self.passages, ..SearchOptions::default() };
            let hits = passages.search(question, &options).await?;
            let settings = ReaderSettings { style: self.style, ..ReaderSettings::default() };
            let mut reader = Reader::new(answerer.clone(), settings);
            reader.read(hits.into_iter().map(|hit| hit.chunk)).await?;
            let relevant: Vec<String> = relevant.iter().map(|&place| name(place)).collect();
            let found =
                reader.sources().chunks().iter().any(|chunk| relevant.contains(&chunk.source.to_string()));
            tally.add(found, &relevant, &reader.ask(question).await?.collect().await?);
        }
        tally.print(&self.model);
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, found: bool, relevant: &[String], answer: &AnswerEnd) {
        let first = answer.citations.first();
        self.asked += 1;
        self.found += usize::from(found);
        self.ended += usize::from(answer.finished.reason == FinishReason::EndOfText);
        self.cited += usize::from(first.is_some());
        self.right += usize::from(first.is_some_and(|first| relevant.contains(&first.source.to_string())));
    }

    fn print(&self, model: &str) {
        let Self { asked, found, ended, cited, right } = self;
        println!("| answered by | questions | passage found | answer ended | cited | first citation right |");
        println!("|---|---:|---:|---:|---:|---:|");
        println!("| {model} | {asked} | {found} | {ended} | {cited} | {right} |");
    }
}

/// What a passage is called.
fn name(place: usize) -> String {
    format!("{place:05}")
}
