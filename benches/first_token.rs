//! Time to the first token of a question about a context of 1,024 tokens: cold, with the context cached by an earlier
//! request, pinned, and restored from a file. And what a fork costs.

#[path = "common/engine.rs"]
mod engine;

use criterion::{BatchSize, Criterion};
use engine::{ask, block_on, load};
use llama_rs::{
    kv::{BlockPool, Holder},
    prelude::*,
};

const CONTEXT_LEN: usize = 1024;
const QUESTION_LEN: usize = 16;

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    fork(&mut criterion);
    for (name, path) in engine::models() {
        let engine = load(&path)?;
        if engine.info().context_len <= CONTEXT_LEN + QUESTION_LEN {
            eprintln!("skipped {name}: its context of {} is too short", engine.info().context_len);
            continue;
        }
        let mut group =
            criterion.benchmark_group(format!("first token, {CONTEXT_LEN} + {QUESTION_LEN} tokens, {name}"));
        group.sample_size(10);
        let mut seed = 0;
        group.bench_function("cold", |bencher| {
            bencher.iter(|| {
                // A context that nobody has asked about.
                seed += 1;
                let prompt =
                    [engine::tokens(seed, CONTEXT_LEN), engine::tokens(1 << 32, QUESTION_LEN)].concat();
                ask(&engine, GenerateRequest::new(Prompt::Tokens(prompt)).with_max_tokens(1))
            });
        });
        let known = engine::tokens(0, CONTEXT_LEN);
        let pinned = block_on(engine.pin(Prompt::Tokens(known.clone())))?;
        let mut question = 1 << 40;
        let mut next_question = || {
            question += 1;
            engine::tokens(question, QUESTION_LEN)
        };
        group.bench_function("cached", |bencher| {
            bencher.iter(|| {
                let prompt = [known.clone(), next_question()].concat();
                ask(&engine, GenerateRequest::new(Prompt::Tokens(prompt)).with_max_tokens(1))
            });
        });
        group.bench_function("pinned", |bencher| {
            bencher.iter(|| {
                let request = GenerateRequest::new(Prompt::Tokens(next_question())).with_max_tokens(1);
                ask(&engine, request.with_context(pinned.clone()))
            });
        });
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("session");
        block_on(engine.save_context(&pinned, &file))?;
        let other = load(&path)?;
        group.bench_function("restored from a file", |bencher| {
            bencher.iter(|| {
                let context = block_on(other.restore_context(&file)).expect("it was just saved");
                let request = GenerateRequest::new(Prompt::Tokens(next_question())).with_max_tokens(1);
                ask(&other, request.with_context(context))
            });
        });
    }
    criterion.final_summary();
    Ok(())
}

/// Forking a context and giving the fork back: integers only.
fn fork(criterion: &mut Criterion) {
    let mut pool = BlockPool::new(4096, 16);
    let mut table = pool.open(&[], Holder::Pin);
    pool.reserve(&mut table, CONTEXT_LEN).expect("the pool is larger");
    let tokens: Vec<u32> = (0..CONTEXT_LEN as u32).collect();
    pool.commit(&mut table, &tokens);
    criterion.bench_function(&format!("fork of {CONTEXT_LEN} tokens"), |bencher| {
        bencher.iter_batched(
            || (),
            |()| {
                let fork = pool.fork(&table, Holder::Sequence);
                pool.close(fork);
            },
            BatchSize::SmallInput,
        );
    });
    pool.close(table);
}
