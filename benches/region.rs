//! What a parallel region costs by itself: `cargo bench --bench region`. A decode step opens some five for each layer.

#[path = "common/mod.rs"]
mod common;

use std::hint::black_box;

use criterion::Criterion;
use llama_rs::backend::parallel::Pool;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group(format!("region, {}", common::machine()));
    let pool = Pool::global();
    for tasks_per_thread in [1, 4] {
        let num_tasks = tasks_per_thread * pool.num_threads();
        group.bench_function(format!("{num_tasks} empty tasks"), |bencher| {
            bencher.iter(|| {
                pool.for_each(num_tasks, &|task_idx| {
                    black_box(task_idx);
                });
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
