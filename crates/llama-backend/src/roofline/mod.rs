//! What the machine could do at best, measured: bytes read and operations done a second by all threads.
//!
//! A benchmark divides by it, to say how much room is left. Invariant: the loops do what the kernels do (the same
//! instructions, the same pool) and nothing else. It does not know models.
//!
//! ```
//! use llama_backend::{parallel::Pool, roofline::Roofline};
//!
//! let pool = Pool::new(2);
//! let roofline = Roofline::measure(&pool, 1 << 20);
//! assert!(roofline.read_bytes_s > 0.0 && roofline.f32_ops_s > 0.0);
//! ```

mod arithmetic;
mod bandwidth;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::time::Instant;

use crate::parallel::Pool;

/// Runs of each loop; the fastest counts, because other work only ever slows one down.
const NUM_ROUNDS: usize = 5;

/// Bytes or operations a second of all threads together. A multiplication and an addition are two operations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roofline {
    /// Bytes read from memory.
    pub read_bytes_s: f64,
    /// Fused multiply-add in f32, on the instruction set that the kernels use.
    pub f32_ops_s: f64,
    /// Dot products of bytes with sums in i32 (VNNI); absent where the CPU or this module has none. Matrix units (AMX)
    /// are not counted: nothing here uses them.
    pub i8_ops_s: Option<f64>,
    /// Dot products of bf16 with sums in f32 (AVX512_BF16); absent as above.
    pub bf16_ops_s: Option<f64>,
}

impl Roofline {
    /// Measures for about a second. `buffer_bytes` must be much more than the caches hold, or the bandwidth is theirs.
    pub fn measure(pool: &Pool, buffer_bytes: usize) -> Self {
        Self {
            read_bytes_s: bandwidth::read_bytes_s(pool, buffer_bytes),
            f32_ops_s: arithmetic::ops_s(pool, arithmetic::f32_chain),
            i8_ops_s: i8_chain().map(|chain| arithmetic::ops_s(pool, chain)),
            bf16_ops_s: bf16_chain().map(|chain| arithmetic::ops_s(pool, chain)),
        }
    }
}

#[cfg(target_arch = "x86_64")]
use x86::{bf16_chain, i8_chain};

/// No such loop is written for this architecture.
#[cfg(not(target_arch = "x86_64"))]
fn i8_chain() -> Option<arithmetic::Chain> {
    None
}

/// No such loop is written for this architecture.
#[cfg(not(target_arch = "x86_64"))]
fn bf16_chain() -> Option<arithmetic::Chain> {
    None
}

/// `amount` over the shortest time that `work` took.
fn best_rate(amount: f64, mut work: impl FnMut()) -> f64 {
    work(); // wakes the threads, touches the memory
    let seconds = (0..NUM_ROUNDS).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    amount / seconds.fold(f64::INFINITY, f64::min).max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_round_counts() {
        let mut round = 0;
        let rate = best_rate(1e3, || {
            round += 1;
            std::thread::sleep(std::time::Duration::from_millis(if round == 3 { 2 } else { 20 }));
        });
        assert_eq!(round, NUM_ROUNDS + 1);
        assert!((1e3 / 0.020..=1e3 / 0.002).contains(&rate) && rate > 1e3 / 0.019, "{rate}");
    }

    #[test]
    fn two_threads_are_measured_together() {
        let roofline = Roofline::measure(&Pool::new(2), 1 << 22);
        // Any machine that runs this does a million of each; none does 10^15.
        let rates =
            [Some(roofline.read_bytes_s), Some(roofline.f32_ops_s), roofline.i8_ops_s, roofline.bf16_ops_s];
        assert!(rates.into_iter().flatten().all(|rate| (1e6..1e15).contains(&rate)), "{roofline:?}");
    }
}
