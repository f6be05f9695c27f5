//! What a step costs besides the model: planning, building the batch and noting the results for 256 live sequences,
//! with a decoder that does nothing.

use criterion::{BenchmarkId, Criterion};
use llama_rs::{
    engine::Priority,
    kv::BlockPool,
    models::{Batch, Output},
    runtime::scheduler::{Scheduler, SchedulerConfig, SequenceId, SequenceSpec, Start},
};

const BLOCK_LEN: usize = 16;
const SEQUENCES: [u64; 3] = [1, 32, 256];
const DEPTHS: [usize; 2] = [128, 1024];

/// Sequences that have read their prompts.
fn decoding(num_sequences: u64, depth: usize) -> Scheduler {
    let config = SchedulerConfig { max_step_tokens: 1 << 20, max_running: num_sequences as usize };
    let blocks = num_sequences as usize * (depth + (1 << 14)).div_ceil(BLOCK_LEN);
    let mut scheduler = Scheduler::new(config, BlockPool::new(blocks, BLOCK_LEN));
    for arrival in 0..num_sequences {
        let tokens = (0..depth as u32).map(|i| i * 31 + arrival as u32).collect();
        let id = SequenceId::new(arrival, Priority::default());
        scheduler.submit(SequenceSpec { id, tokens, output: Output::LastLogits, start: Start::Cached });
    }
    step(&mut scheduler);
    scheduler
}

/// Returns the number of rows, so that the batch is not optimised away.
fn step(scheduler: &mut Scheduler) -> usize {
    let plan = scheduler.plan();
    let spans = plan.spans.iter().map(|span| scheduler.span(span)).collect();
    let batch = Batch::new(spans, BLOCK_LEN).expect("the scheduler plans whole spans");
    scheduler.complete(&plan.spans);
    for span in &plan.spans {
        scheduler.append(span.id, 7);
    }
    batch.num_rows()
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("step without a model");
    for num_sequences in SEQUENCES {
        for depth in DEPTHS {
            let id = BenchmarkId::new(format!("{num_sequences} sequences"), format!("depth {depth}"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|num_steps| {
                    let mut total = std::time::Duration::ZERO;
                    let mut left = num_steps;
                    while left > 0 {
                        // Not so many that the depth would be another.
                        let mut scheduler = decoding(num_sequences, depth);
                        let round = left.min(256);
                        let start = std::time::Instant::now();
                        (0..round).for_each(|_| assert_eq!(step(&mut scheduler), num_sequences as usize));
                        total += start.elapsed();
                        left -= round;
                    }
                    total
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
