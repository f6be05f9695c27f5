//! Tokens per second of 1 to 32 requests at once, through the whole engine: scheduler, sampler and events included.

#[path = "common/engine.rs"]
mod engine;

use criterion::{Criterion, Throughput};
use engine::{block_on, load};
use futures::future::try_join_all;
use llama_rs::prelude::*;

const BATCHES: [usize; 6] = [1, 2, 4, 8, 16, 32];
const PROMPT_LEN: usize = 32;
const ANSWER_LEN: usize = 32;

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, path) in engine::models() {
        let engine = load(&path)?;
        let mut group = criterion.benchmark_group(format!("{ANSWER_LEN} tokens each, {name}"));
        group.sample_size(10);
        for batch in BATCHES {
            // One prompt each, cached from the first round on, so that decoding is what is measured.
            let answers = || {
                let requests = (0..batch as u64).map(|seed| {
                    GenerateRequest::new(Prompt::Tokens(engine::tokens(seed, PROMPT_LEN)))
                        .with_max_tokens(ANSWER_LEN)
                        .with_end(EndOfText::Ignored)
                });
                let answer = |request| async { engine.generate(request).await?.collect().await };
                block_on(try_join_all(requests.map(answer)))
            };
            answers()?;
            group.throughput(Throughput::Elements((batch * ANSWER_LEN) as u64));
            group.bench_function(format!("{batch} at once"), |bencher| {
                bencher.iter(|| answers().expect("it was answered before"));
            });
        }
    }
    criterion.final_summary();
    Ok(())
}
