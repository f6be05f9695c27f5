//! Operations on registers alone: chains of multiply-add that are independent of each other.

use std::hint::black_box;

use super::best_rate;
use crate::{
    parallel::Pool,
    simd::{Kernel, LANES, Simd, dispatch},
};

/// Links of one task's chains: some milliseconds.
const NUM_LINKS: usize = 1 << 18;
/// Tasks per thread, so that one that is disturbed does not decide the time.
const TASKS_PER_THREAD: usize = 4;

/// Does so many links of its chains and returns how many operations that were.
pub(super) type Chain = fn(num_links: usize) -> f64;

pub(super) fn ops_s(pool: &Pool, chain: Chain) -> f64 {
    let num_tasks = TASKS_PER_THREAD * pool.num_threads();
    let ops_per_task = chain(NUM_LINKS);
    best_rate(ops_per_task * num_tasks as f64, || {
        pool.for_each(num_tasks, &|_| {
            black_box(chain(NUM_LINKS));
        });
    })
}

/// Fused multiply-add in f32.
pub(super) fn f32_chain(num_links: usize) -> f64 {
    let num_chains = dispatch(MultiplyAdd(num_links));
    2.0 * (num_links * num_chains * LANES) as f64
}

/// Returns the number of chains.
struct MultiplyAdd(usize);

impl Kernel for MultiplyAdd {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        // As many as stay in registers, beside the two factors; an instruction takes four cycles, two start in each.
        match S::HAS_WIDE_REGISTERS {
            true => multiply_add::<S, 24>(simd, self.0),
            false => multiply_add::<S, 6>(simd, self.0),
        }
    }
}

#[inline(always)]
fn multiply_add<S: Simd, const N: usize>(simd: S, num_links: usize) -> usize {
    let (a, b) = (simd.splat(black_box(0.5)), simd.splat(black_box(1e-3)));
    let mut sums = [simd.splat(0.0); N];
    for _ in 0..num_links {
        for sum in &mut sums {
            *sum = simd.mul_add(a, b, *sum);
        }
    }
    let mut total = sums[0];
    for sum in &sums[1..] {
        total = simd.add(total, *sum);
    }
    black_box(simd.sum(total));
    N
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_by_links() {
        assert_eq!(f32_chain(64), 2.0 * f32_chain(32));
        assert!(f32_chain(1) >= 2.0 * 6.0 * LANES as f64);
    }

    /// If the optimiser took the loop away, a hundred times the work would take no longer.
    #[test]
    fn the_loop_is_really_run() {
        let time = |num_links| {
            let start = std::time::Instant::now();
            f32_chain(num_links);
            start.elapsed().as_secs_f64()
        };
        let shortest = |num_links| (0..5).map(|_| time(num_links)).fold(f64::INFINITY, f64::min);
        let (short, long) = (shortest(1 << 12), shortest(1 << 19));
        assert!(long > 10.0 * short, "{short} s and {long} s");
    }
}
