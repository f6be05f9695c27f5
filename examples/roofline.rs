//! What this machine could do at best, as one line of JSON: `cargo run --release --example roofline -- --threads 2`.
//! Bytes read from memory a second, and operations a second in f32, bytes and bf16; `null` where the CPU has no
//! instructions for it. `cargo xtask compare` divides by these.

use clap::Parser;
use llama_rs::backend::{
    parallel::{Affinity, Pool},
    roofline::Roofline,
    simd::Isa,
};

/// Measure memory bandwidth and peak arithmetic
#[derive(Parser)]
struct Options {
    /// As many as the machine has, if absent
    #[arg(long)]
    threads: Option<usize>,
    /// Processors to pin threads to, as in `0,2`, or `any`
    #[arg(long, default_value = "any")]
    cores: Affinity,
    /// Size of the buffer that is read: much more than the caches
    #[arg(long, default_value_t = 1024)]
    megabytes: usize,
}

fn main() {
    let Options { threads, cores, megabytes } = Options::parse();
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    Pool::set_global(threads, cores).pin_caller();
    let roofline = Roofline::measure(Pool::global(), megabytes << 20);
    let report = serde_json::json!({
        "threads": Pool::global().num_threads(),
        "cores": Pool::global().affinity().to_string(),
        "isa": Isa::detect().to_string(),
        "read_bytes_s": roofline.read_bytes_s,
        "f32_ops_s": roofline.f32_ops_s,
        "i8_ops_s": roofline.i8_ops_s,
        "bf16_ops_s": roofline.bf16_ops_s,
    });
    println!("{report}");
}
