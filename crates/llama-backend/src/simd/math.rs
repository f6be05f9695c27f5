//! Vector building blocks that several operations share: dot product, scaled addition, exponential, maximum.

use super::{LANES, Simd};

/// Fills a last, partial group of lanes with zeros.
#[inline(always)]
pub(crate) fn pad(tail: &[f32]) -> [f32; LANES] {
    let mut padded = [0.0; LANES];
    padded[..tail.len()].copy_from_slice(tail);
    padded
}

/// Dot product of two equally long slices, in sixteen lanes.
#[inline(always)]
pub(crate) fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, a_tail) = a.as_chunks::<LANES>();
    let (b_chunks, b_tail) = b.as_chunks::<LANES>();
    let mut sum = simd.splat(0.0);
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        sum = simd.mul_add(simd.load(a), simd.load(b), sum);
    }
    if !a_tail.is_empty() {
        sum = simd.mul_add(simd.load(&pad(a_tail)), simd.load(&pad(b_tail)), sum);
    }
    simd.sum(sum)
}

/// `to += scale * from`, each element with one rounding.
#[inline(always)]
pub(crate) fn axpy<S: Simd>(simd: S, scale: f32, from: &[f32], to: &mut [f32]) {
    let (from_chunks, from_tail) = from.as_chunks::<LANES>();
    let (to_chunks, to_tail) = to.as_chunks_mut::<LANES>();
    let scales = simd.splat(scale);
    for (from, to) in from_chunks.iter().zip(to_chunks) {
        let sum = simd.mul_add(scales, simd.load(from), simd.load(to));
        simd.store(sum, to);
    }
    for (from, to) in from_tail.iter().zip(to_tail) {
        *to = scale.mul_add(*from, *to);
    }
}

/// e^x for x <= 88, zero below -87.3; relative error below 2e-7.
///
/// Cody-Waite reduction to |r| <= ln 2 / 2, then a polynomial of degree 6 (the Taylor coefficients), times 2^n.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::F32s) -> S::F32s {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // 126.5 ln 2: below it, the power of two would leave the normal range.
    // A NaN stays one: `max` returns its second argument then.
    let x = simd.max(simd.splat(-87.3), x);
    let n = simd.round(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    let r = simd.mul_add(n, simd.splat(-LN2_HIGH), x);
    let r = simd.mul_add(n, simd.splat(-LN2_LOW), r);
    let mut sum = simd.splat(1.0 / 5040.0);
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = simd.mul_add(sum, r, simd.splat(coefficient));
    }
    simd.mul(sum, simd.pow2(n))
}

/// Replaces each x by e^(x - shift) and returns the sum, both in sixteen lanes. Lanes past the end count as zero.
#[inline(always)]
pub(crate) fn exp_in_place<S: Simd>(simd: S, values: &mut [f32], shift: f32) -> f32 {
    let minus_shift = simd.splat(-shift);
    let (chunks, tail) = values.as_chunks_mut::<LANES>();
    let mut total = simd.splat(0.0);
    for chunk in chunks {
        let value = exp(simd, simd.add(simd.load(chunk), minus_shift));
        simd.store(value, chunk);
        total = simd.add(total, value);
    }
    if !tail.is_empty() {
        let mut padded = [0.0; LANES];
        simd.store(exp(simd, simd.add(simd.load(&pad(tail)), minus_shift)), &mut padded);
        padded[tail.len()..].fill(0.0);
        tail.copy_from_slice(&padded[..tail.len()]);
        total = simd.add(total, simd.load(&padded));
    }
    simd.sum(total)
}

/// The largest value that is a number.
#[inline(always)]
pub(crate) fn largest<S: Simd>(simd: S, values: &[f32]) -> f32 {
    let (chunks, tail) = values.as_chunks::<LANES>();
    let mut lanes = simd.splat(f32::NEG_INFINITY);
    for chunk in chunks {
        lanes = simd.max(simd.load(chunk), lanes);
    }
    let mut largest = [0.0; LANES];
    simd.store(lanes, &mut largest);
    largest.iter().chain(tail).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::super::{Isa, Kernel, dispatch_on};
    use super::*;

    /// Every function of this file over one input, so that instruction sets can be compared.
    struct Everything<'a>(&'a [f32], &'a [f32]);

    impl Kernel for Everything<'_> {
        type Output = Vec<f32>;
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut values = self.0.to_vec();
            let product = dot(simd, self.0, self.1);
            let total = exp_in_place(simd, &mut values, 1.5);
            axpy(simd, 0.3, self.1, &mut values);
            values.extend([product, total]);
            values.resize(values.len().next_multiple_of(LANES), 0.0);
            let mut vectors = [simd.splat(0.25); LANES];
            for (vector, chunk) in vectors.iter_mut().zip(values.as_chunks::<LANES>().0) {
                *vector = simd.load_bytes(bytemuck::cast_ref(chunk));
            }
            let mut sums = [0.0; LANES];
            simd.store(simd.sums(vectors), &mut sums);
            for (sum, vector) in sums.iter().zip(vectors) {
                assert_eq!(sum.to_bits(), simd.sum(vector).to_bits());
            }
            values.extend(sums);
            values
        }
    }

    fn bits(isa: Isa, a: &[f32], b: &[f32]) -> Vec<u32> {
        let values = dispatch_on(isa, Everything(a, b));
        values.into_iter().map(f32::to_bits).collect()
    }

    proptest::proptest! {
        #[test]
        fn every_instruction_set_gives_the_same_bits(
            pairs in proptest::collection::vec((-30f32..30.0, -3f32..3.0), 0..100),
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let expected = bits(Isa::Portable, &a, &b);
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
                proptest::prop_assert_eq!(&bits(isa, &a, &b), &expected, "{}", isa);
            }
        }

        #[test]
        fn exp_is_close_to_the_library(x in -87.0f32..88.0) {
            let mut value = [x];
            dispatch_on(Isa::Portable, ExpInPlace(&mut value));
            let expected = f64::from(x).exp();
            proptest::prop_assert!((f64::from(value[0]) / expected - 1.0).abs() < 2e-7);
        }
    }

    struct ExpInPlace<'a>(&'a mut [f32]);

    impl Kernel for ExpInPlace<'_> {
        type Output = f32;
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> f32 {
            exp_in_place(simd, self.0, 0.0)
        }
    }

    #[test]
    fn exp_keeps_nan_and_flushes_far_negatives() {
        let mut values = [f32::NAN, -1000.0, 0.0];
        dispatch_on(Isa::detect(), ExpInPlace(&mut values));
        assert!(values[0].is_nan());
        assert!(values[1] < 2e-38);
        assert_eq!(values[2], 1.0);
    }
}
