//! The scale, or scale and offset, with which whole numbers come closest to a group of values.
//!
//! The idea is that of ggml (`make_qkx2_quants` and `make_qx_quants` of llama.cpp's `ggml-quants.c`): try several
//! ways to round the group to whole numbers, for each find the best scale by weighted least squares, and keep the
//! one with the smallest error. An error counts more at a large value, which moves the output more.
//! Invariant: sums run in sixteen lanes, so a fit has the same bits on every instruction set.

use half::f16;

use crate::simd::{LANES, Simd};

/// Groups narrower than this are all zeros (or all offset): the smallest f16 is 6e-8.
const NEGLIGIBLE: f32 = 1e-12;

/// The rounding that a group of symmetric values is tried with: `levels + step * STEP` for these steps.
const SIGNED_STEPS: std::ops::RangeInclusive<i32> = -9..=9;
/// As above for affine groups, from the narrowest to the widest.
const AFFINE_STEPS: std::ops::RangeInclusive<i32> = -10..=10;
const STEP: f32 = 0.1;

/// A group of `V * LANES` values, with the weight of each one's error.
pub(super) struct Group<S: Simd, const V: usize> {
    simd: S,
    values: [S::F32s; V],
    weights: [S::F32s; V],
}

/// `value = scale * number + offset`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine {
    pub(super) scale: f32,
    pub(super) offset: f32,
}

/// Which offsets a format can store.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Offset {
    /// Any.
    Free,
    /// Zero or less.
    NotPositive,
}

/// Weighted sums over a group for one choice of whole numbers.
struct Sums {
    numbers: f32,
    squares: f32,
    products: f32,
}

impl<S: Simd, const V: usize> Group<S, V> {
    /// Takes `V * LANES` values. A weight is the value's magnitude plus the root mean square of all.
    #[inline(always)]
    pub(super) fn new(simd: S, values: &[f32]) -> Self {
        let (chunks, _) = values.as_chunks::<LANES>();
        let mut vectors = [simd.splat(0.0); V];
        let mut squares = simd.splat(0.0);
        for i in 0..V {
            vectors[i] = simd.load(&chunks[i]);
            squares = simd.mul_add(vectors[i], vectors[i], squares);
        }
        let root_mean_square = simd.splat((simd.sum(squares) / (V * LANES) as f32).sqrt());
        let mut weights = [root_mean_square; V];
        for i in 0..V {
            let magnitude = simd.max(vectors[i], negated(simd, vectors[i]));
            weights[i] = simd.add(root_mean_square, magnitude);
        }
        Self { simd, values: vectors, weights }
    }

    /// The smallest and the largest value.
    #[inline(always)]
    pub(super) fn extremes(&self) -> (f32, f32) {
        let simd = self.simd;
        let (mut high, mut low) = (self.values[0], negated(simd, self.values[0]));
        for i in 1..V {
            high = simd.max(high, self.values[i]);
            low = simd.max(low, negated(simd, self.values[i]));
        }
        (-largest(simd, low), largest(simd, high))
    }

    /// The scale for numbers from `-levels` to `levels - 1`. Negative if the largest magnitude is positive, so that
    /// it falls on the side that reaches further.
    #[inline(always)]
    pub(super) fn fit_signed(&self, levels: f32) -> f32 {
        let (low, high) = self.extremes();
        let peak = if -low > high { low } else { high };
        if peak.abs() < NEGLIGIBLE {
            return 0.0;
        }
        let (mut best_scale, mut best_gain) = (-peak / levels, 0.0);
        for step in SIGNED_STEPS {
            let inverse = -(levels + STEP * step as f32) / peak;
            let sums = self.sums(inverse, 0.0, (-levels, levels - 1.0));
            // With the best scale, the squared error is that of all zeros less this.
            let gain = sums.products * sums.products / sums.squares;
            if gain > best_gain {
                (best_scale, best_gain) = (sums.products / sums.squares, gain);
            }
        }
        best_scale
    }

    /// Scale and offset for numbers from 0 to `levels`.
    #[inline(always)]
    pub(super) fn fit_affine(&self, levels: f32, allowed: Offset) -> Affine {
        let (low, high) = self.extremes();
        let low = if allowed == Offset::NotPositive { low.min(0.0) } else { low };
        let range = high - low;
        if range < NEGLIGIBLE {
            return Affine { scale: 0.0, offset: low };
        }
        let (ones, total) = self.totals();
        let mut best = Affine { scale: range / levels, offset: low };
        let mut best_error = f32::INFINITY;
        for step in AFFINE_STEPS {
            let inverse = (levels + STEP * step as f32) / range;
            let sums = self.sums(inverse, -low * inverse, (0.0, levels));
            let found = solve(&sums, (ones, total), allowed);
            let Affine { scale, offset } = found;
            // The squared error, less that of all zeros.
            let error = scale * (scale * sums.squares + 2.0 * (offset * sums.numbers - sums.products))
                + offset * (offset * ones - 2.0 * total);
            if error < best_error {
                (best, best_error) = (found, error);
            }
        }
        best
    }

    /// `value * inverse + shift` as whole numbers of a range, written out.
    #[inline(always)]
    pub(super) fn numbers(&self, inverse: f32, shift: f32, range: (f32, f32), to: &mut [f32]) {
        for (i, to) in to.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            self.simd.store(self.rounded(i, inverse, shift, range), to);
        }
    }

    #[inline(always)]
    fn rounded(&self, i: usize, inverse: f32, shift: f32, (low, high): (f32, f32)) -> S::F32s {
        let simd = self.simd;
        let scaled = simd.mul_add(self.values[i], simd.splat(inverse), simd.splat(shift));
        let at_least = simd.max(simd.round(scaled), simd.splat(low));
        negated(simd, simd.max(negated(simd, at_least), simd.splat(-high)))
    }

    #[inline(always)]
    fn sums(&self, inverse: f32, shift: f32, range: (f32, f32)) -> Sums {
        let simd = self.simd;
        let zero = simd.splat(0.0);
        let (mut numbers, mut squares, mut products) = (zero, zero, zero);
        for i in 0..V {
            let number = self.rounded(i, inverse, shift, range);
            let weighted = simd.mul(self.weights[i], number);
            numbers = simd.add(numbers, weighted);
            squares = simd.mul_add(weighted, number, squares);
            products = simd.mul_add(weighted, self.values[i], products);
        }
        Sums { numbers: simd.sum(numbers), squares: simd.sum(squares), products: simd.sum(products) }
    }

    /// The weighted sums of one and of the values.
    #[inline(always)]
    fn totals(&self) -> (f32, f32) {
        let simd = self.simd;
        let (mut ones, mut total) = (simd.splat(0.0), simd.splat(0.0));
        for i in 0..V {
            ones = simd.add(ones, self.weights[i]);
            total = simd.mul_add(self.weights[i], self.values[i], total);
        }
        (simd.sum(ones), simd.sum(total))
    }
}

/// The smallest f16 that is not below `value`, of 0 to `f16::MAX`: scales of groups, counted in it, stay in range.
#[inline(always)]
pub(super) fn half_at_least(value: f32) -> f16 {
    let nearest = f16::from_f32(value);
    match nearest.to_f32() < value {
        true => f16::from_bits(nearest.to_bits() + 1),
        false => nearest,
    }
}

/// `1 / scale`, or 0 if there is none.
#[inline(always)]
pub(super) fn inverse_of(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// Normal equations of weighted least squares in two unknowns.
#[inline(always)]
fn solve(sums: &Sums, (ones, total): (f32, f32), allowed: Offset) -> Affine {
    let determinant = ones * sums.squares - sums.numbers * sums.numbers;
    if determinant > 0.0 {
        let scale = (ones * sums.products - total * sums.numbers) / determinant;
        let offset = (sums.squares * total - sums.numbers * sums.products) / determinant;
        if allowed == Offset::Free || offset <= 0.0 {
            return Affine { scale, offset };
        }
    }
    Affine { scale: sums.products * inverse_of(sums.squares), offset: 0.0 }
}

#[inline(always)]
fn negated<S: Simd>(simd: S, value: S::F32s) -> S::F32s {
    simd.mul(value, simd.splat(-1.0))
}

#[inline(always)]
fn largest<S: Simd>(simd: S, value: S::F32s) -> f32 {
    let mut lanes = [0.0; LANES];
    simd.store(value, &mut lanes);
    let mut largest = lanes[0];
    for lane in lanes {
        largest = if lane > largest { lane } else { largest };
    }
    largest
}
