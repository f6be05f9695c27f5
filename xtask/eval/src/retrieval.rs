//! Retrieval: each question ranks all passages, by words, by vectors of any size and kind, and by both.

use std::{path::PathBuf, time::Instant};

use anyhow::ensure;
use clap::{Args, ValueEnum};
use llama_engine::{LlamaEngine, Overlong};
use llama_rag::{Embedder, VectorIndex, VectorType, WordIndex, fuse, rescore};
use llama_runtime::CandleEngine;

use crate::{
    dataset::{Dataset, XQUAD},
    load,
    measures::{Measures, judge},
};

/// How far down each ranking is read before they are fused.
const DEPTH: usize = 50;
/// As far as measures look.
const NUM_RANKED: usize = 10;

/// What is measured.
#[derive(Args)]
pub(crate) struct Retrieval {
    /// `bm25`, or models by name or path; each model is also measured fused with bm25
    #[arg(long, value_delimiter = ',', default_value = "bm25,minilm")]
    embedders: Vec<String>,
    /// A file in SQuAD's form, or a folder in BEIR's
    #[arg(long, default_value = XQUAD)]
    data: PathBuf,
    /// Leading components to keep; all, if absent
    #[arg(long, value_delimiter = ',')]
    dimensions: Vec<usize>,
    /// What components are kept as
    #[arg(long, value_delimiter = ',', default_value = "f32,f16,int8")]
    kinds: Vec<Kind>,
    /// So many times ten passages are scored again with whole vectors; 0 leaves it out
    #[arg(long, default_value_t = 4)]
    rescoring: usize,
    /// Only so many questions
    #[arg(long)]
    limit: Option<usize>,
}

/// What components are kept as.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    F32,
    F16,
    Int8,
}

impl From<Kind> for VectorType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::F32 => Self::F32,
            Kind::F16 => Self::F16,
            Kind::Int8 => Self::Int8,
        }
    }
}

/// Vectors of everything, at full size.
struct Vectors {
    passages: Vec<Vec<f32>>,
    questions: Vec<Vec<f32>>,
}

impl Retrieval {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut dataset = Dataset::read(&self.data)?;
        dataset.questions.truncate(self.limit.unwrap_or(usize::MAX));
        let (num_passages, num_questions) = (dataset.passages.len(), dataset.questions.len());
        println!("{num_passages} passages, {num_questions} questions of {}\n", self.data.display());
        println!(
            "| ranked by | dimensions | kept as | bytes | R@1 | R@5 | MRR@10 |\n|---|---|---|---|---|---|---|"
        );
        let by_word = by_word(&dataset);
        for name in &self.embedders {
            match name.as_str() {
                "bm25" => row("bm25", "", "", 0, dataset.judge(&by_word)),
                model => self.model(model, &dataset, &by_word).await?,
            }
        }
        Ok(())
    }

    /// All rows of one model.
    async fn model(&self, name: &str, dataset: &Dataset, by_word: &[Vec<u32>]) -> anyhow::Result<()> {
        let engine = load(name).await?;
        let full = engine.info().embedding.len;
        let start = Instant::now();
        let vectors = Vectors::of(Embedder::new(engine).with_overlong(Overlong::Cut), dataset).await?;
        let seconds = start.elapsed().as_secs_f64();
        let all = [full];
        for len in if self.dimensions.is_empty() { &all[..] } else { &self.dimensions } {
            ensure!((1..=full).contains(len), "{len} dimensions, {name} has 1 to {full}");
            for kind in &self.kinds {
                self.kept_as(name, *len, *kind, (dataset, &vectors, by_word));
            }
        }
        eprintln!(
            "{name}: {} texts embedded in {seconds:.1} s",
            vectors.passages.len() + vectors.questions.len()
        );
        Ok(())
    }

    /// The rows of one size and kind: alone, scored again, and fused.
    fn kept_as(
        &self,
        name: &str,
        len: usize,
        kind: Kind,
        (dataset, vectors, by_word): (&Dataset, &Vectors, &[Vec<u32>]),
    ) {
        let mut index = VectorIndex::new(len, kind.into());
        vectors.passages.iter().for_each(|vector| index.push(vector));
        let kept = kind.to_possible_value().expect("no variant is skipped").get_name().to_owned();
        let (bytes, dimensions) = (index.row_bytes(), len.to_string());
        let alone = vectors.rank(|question| index.search(question, DEPTH, |_| true));
        row(name, &dimensions, &kept, bytes, dataset.judge(&alone));
        if self.rescoring > 0 {
            let again = vectors.rank(|question| {
                let found = index.search(question, self.rescoring * NUM_RANKED, |_| true).into_iter();
                rescore(question, found.map(|(row, _)| (row, vectors.passages[row as usize].clone())), DEPTH)
            });
            let kept = format!("{kept}, best {} again in f32", self.rescoring * NUM_RANKED);
            row(name, &dimensions, &kept, bytes, dataset.judge(&again));
        }
        let fused: Vec<Vec<u32>> = alone
            .into_iter()
            .zip(by_word)
            .map(|(alone, by_word)| rows(fuse(&[alone, by_word.clone()], NUM_RANKED)))
            .collect();
        row(&format!("{name} + bm25"), &dimensions, &kept, bytes, dataset.judge(&fused));
    }
}

impl Vectors {
    async fn of(embedder: Embedder<CandleEngine>, dataset: &Dataset) -> anyhow::Result<Self> {
        let passages: Vec<&str> = dataset.passages.iter().map(String::as_str).collect();
        let questions: Vec<&str> = dataset.questions.iter().map(|(question, _)| question.as_str()).collect();
        let passages = embedder.documents(&passages).await?.vectors;
        Ok(Self { passages, questions: embedder.queries(&questions).await?.vectors })
    }

    fn rank(&self, search: impl Fn(&[f32]) -> Vec<(u32, f32)>) -> Vec<Vec<u32>> {
        self.questions.iter().map(|question| rows(search(question))).collect()
    }
}

impl Dataset {
    /// Judges a ranking for each question.
    fn judge(&self, rankings: &[Vec<u32>]) -> Measures {
        let places = |ranking: &Vec<u32>| ranking.iter().map(|row| *row as usize).collect();
        let judged = rankings.iter().zip(&self.questions);
        judge(
            &judged
                .map(|(ranking, (_, relevant))| (places(ranking), relevant.as_slice()))
                .collect::<Vec<_>>(),
        )
    }
}

fn by_word(dataset: &Dataset) -> Vec<Vec<u32>> {
    let mut index = WordIndex::default();
    dataset.passages.iter().for_each(|passage| index.push(passage));
    dataset.questions.iter().map(|(question, _)| rows(index.search(question, DEPTH, |_| true))).collect()
}

fn rows(found: Vec<(u32, f32)>) -> Vec<u32> {
    found.into_iter().map(|(row, _)| row).collect()
}

fn row(name: &str, dimensions: &str, kept: &str, bytes: usize, measures: Measures) {
    let bytes = if bytes == 0 { String::new() } else { bytes.to_string() };
    println!("| {name} | {dimensions} | {kept} | {bytes} | {measures} |");
}
