//! `llama-eval`: measures what models are good for. `cargo xtask eval` builds and runs it.

mod citations;
mod dataset;
mod measures;
mod retrieval;

use clap::Parser;

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
