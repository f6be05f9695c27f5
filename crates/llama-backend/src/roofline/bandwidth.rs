//! Bytes read from memory: a sum over a buffer.

use std::hint::black_box;

use super::best_rate;
use crate::{
    parallel::Pool,
    simd::{Kernel, LANES, Simd, dispatch},
};

/// Values of one task.
const TASK_VALUES: usize = 1 << 18;
/// Sums at once, so that no load waits for an addition.
const NUM_SUMS: usize = 8;

pub(super) fn read_bytes_s(pool: &Pool, buffer_bytes: usize) -> f64 {
    let buffer = vec![1f32; (buffer_bytes / size_of::<f32>()).max(LANES * NUM_SUMS)];
    let tasks: Vec<&[f32]> = buffer.chunks(TASK_VALUES).collect();
    best_rate(size_of_val(&*buffer) as f64, || {
        pool.for_each(tasks.len(), &|task_idx| {
            black_box(dispatch(Sum(tasks[task_idx])));
        });
    })
}

struct Sum<'a>(&'a [f32]);

impl Kernel for Sum<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.splat(0.0); NUM_SUMS];
        for chunk in self.0.as_chunks::<{ LANES * NUM_SUMS }>().0 {
            let vectors = chunk.as_chunks::<LANES>().0;
            for i in 0..NUM_SUMS {
                sums[i] = simd.add(sums[i], simd.load(&vectors[i]));
            }
        }
        let mut total = sums[0];
        for sum in &sums[1..] {
            total = simd.add(total, *sum);
        }
        simd.sum(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_read_once() {
        let values: Vec<f32> = (0..4 * LANES * NUM_SUMS).map(|i| i as f32).collect();
        let expected = values.iter().sum::<f32>();
        assert_eq!(dispatch(Sum(&values)), expected);
    }
}
