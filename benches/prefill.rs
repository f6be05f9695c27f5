//! Tokens per second of prefilling a prompt of 512 tokens in one step.

mod common;

use common::Workload;
use criterion::{Criterion, Throughput};

const PROMPT_LEN: usize = 512;

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group(format!("prefill, {PROMPT_LEN} tokens, {}", common::machine()));
    group.sample_size(10).throughput(Throughput::Elements(PROMPT_LEN as u64));
    for (name, path) in common::models() {
        let mut workload = Workload::open(&path, 1, PROMPT_LEN)?;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                workload.feed(1, PROMPT_LEN).expect("the cache has room for the prompt");
                workload.rewind(0);
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
