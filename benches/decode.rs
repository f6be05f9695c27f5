//! Tokens per second of decoding behind 128 cached tokens, alone and eight sequences at once.

mod common;

use common::Workload;
use criterion::{Criterion, Throughput};

const DEPTH: usize = 128;
const BATCHES: [usize; 2] = [1, 8];

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group(format!("decode, depth {DEPTH}, {}", common::machine()));
    for (name, path) in common::models() {
        for batch in BATCHES {
            let mut workload = Workload::open(&path, batch, DEPTH + 1)?;
            workload.feed(batch, DEPTH)?;
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(format!("{name}, batch {batch}"), |bencher| {
                bencher.iter(|| {
                    workload.feed(batch, 1).expect("it was fed the same before");
                    workload.rewind(DEPTH);
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
