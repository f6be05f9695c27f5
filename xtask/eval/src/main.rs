//! `llama-eval`: measures what models are good for. `cargo xtask eval` builds and runs it.

mod citations;
mod dataset;
mod measures;
mod retrieval;

use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use llama_hub::{TerminalProgress, resolve};
use llama_runtime::{CandleEngine, EngineOptions};

/// Measure what models are good for
#[derive(Parser)]
#[command(name = "llama-eval")]
enum Eval {
    /// How often a question finds its passage first, among the first five, and how high up
    Retrieval(retrieval::Retrieval),
    /// How often an answer ends, cites, and cites the passage that answers the question
    Citations(citations::Citations),
}

fn main() -> anyhow::Result<()> {
    match Eval::parse() {
        Eval::Retrieval(retrieval) => futures::executor::block_on(retrieval.run()),
        Eval::Citations(citations) => futures::executor::block_on(citations.run()),
    }
}

/// A model by name or path.
async fn load(model: &str) -> anyhow::Result<Arc<CandleEngine>> {
    let path = resolve(model, &TerminalProgress::new())?;
    let engine = CandleEngine::load(&path, EngineOptions::default()).await;
    Ok(Arc::new(engine.with_context(|| format!("loading {}", path.display()))?))
}
