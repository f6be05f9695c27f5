//! How far values are from what was expected, in multiples of the bound of that difference.
//!
//! Bounds follow Higham, *Accuracy and Stability of Numerical Algorithms*, chapters 2 and 3. With `u` the unit roundoff
//! (2^-24 for f32, 2^-11 for f16, 2^-8 for bf16), a sum of k products differs from the exact one by at most
//! `k u Σ|a b|` in any order, and typically by `√k u Σ|a b|`; a stored result by `u |y|` more. Device and reference both
//! err, and a factor of a few covers what the analysis leaves out, so each property's bound is written as
//! `c1 u_f32 (√k + c2) Σ|a b| + c3 u_dtype |y|`, plus the smallest normal number: devices may flush to zero. A NaN where
//! none is expected is infinitely far; so is an infinity, unless the expected value does not fit the dtype either.

use candle_core::DType;
use serde::{Deserialize, Serialize};

use crate::fill::smallest_normal;

/// Half the distance of two neighbouring f32 around 1.
pub const F32_ROUNDOFF: f64 = 1.0 / (1u64 << 24) as f64;

/// Half the distance of two neighbouring numbers around 1.
pub fn roundoff(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2f64.powi(-11),
        DType::BF16 => 2f64.powi(-8),
        _ => F32_ROUNDOFF,
    }
}

fn largest(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => half::f16::MAX.to_f64(),
        DType::BF16 => half::bf16::MAX.to_f64(),
        _ => f64::from(f32::MAX),
    }
}

/// The value that is farthest from its expectation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Worst {
    /// Multiple of the bound; infinite values are written as [`f64::MAX`].
    pub ratio: f64,
    /// Index of the value, row by row.
    pub value_idx: usize,
    /// What the reference computed.
    pub expected: f32,
    /// What the device computed; as bits, because JSON has no NaN.
    pub found: Found,
    /// Bound of the difference.
    pub bound: f64,
}

/// A value that may be NaN or infinite, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found(u32);

impl Found {
    /// The value.
    pub fn value(self) -> f32 {
        f32::from_bits(self.0)
    }
}

/// Two results of one computation.
pub struct Comparison {
    /// What the reference computed, in f32.
    pub expected: Vec<f32>,
    /// What the device computed, in f32.
    pub found: Vec<f32>,
    /// Largest difference that rounding explains, for each value.
    pub bounds: Vec<f64>,
    /// Dtype of the device's result.
    pub dtype: DType,
}

impl Comparison {
    /// The value with the largest difference, in multiples of its bound.
    pub fn worst(&self) -> Worst {
        if self.expected.len() != self.found.len() || self.expected.len() != self.bounds.len() {
            return Worst { ratio: f64::MAX, ..Worst::default() };
        }
        let mut worst = Worst::default();
        for (value_idx, (&expected, &found)) in self.expected.iter().zip(&self.found).enumerate() {
            let bound = self.bounds[value_idx];
            let ratio = ratio((expected, found), bound, self.dtype);
            if ratio > worst.ratio || value_idx == 0 {
                worst = Worst { ratio, value_idx, expected, found: Found(found.to_bits()), bound };
            }
        }
        worst
    }
}

fn ratio((expected, found): (f32, f32), bound: f64, dtype: DType) -> f64 {
    let (wanted, found) = (f64::from(expected), f64::from(found));
    if wanted == found {
        return 0.0;
    }
    if found.is_infinite() && found.signum() == wanted.signum() && wanted.abs() + bound >= largest(dtype) {
        return 0.0;
    }
    let ratio = (wanted - found).abs() / (bound + f64::from(smallest_normal(dtype)));
    if ratio.is_finite() { ratio } else { f64::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio_of(expected: f32, found: f32, bound: f64, dtype: DType) -> f64 {
        let comparison =
            Comparison { expected: vec![expected], found: vec![found], bounds: vec![bound], dtype };
        comparison.worst().ratio
    }

    #[test]
    fn differences_are_multiples_of_the_bound() {
        assert_eq!(ratio_of(1.0, 1.0, 0.0, DType::F32), 0.0);
        assert!((ratio_of(1.0, 1.5, 0.25, DType::F32) - 2.0).abs() < 1e-9);
        assert!(ratio_of(1.0, 1.000_001, 0.0, DType::F32) > 1e9);
    }

    #[test]
    fn nan_and_infinity_never_pass() {
        for found in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(ratio_of(1.0, found, 1e30, DType::F32), f64::MAX);
        }
        assert_eq!(ratio_of(f32::NAN, f32::NAN, 1.0, DType::F32), f64::MAX);
        assert_eq!(ratio_of(f32::NAN, 1.0, 1.0, DType::F32), f64::MAX);
    }

    #[test]
    fn what_does_not_fit_may_be_infinite() {
        assert_eq!(ratio_of(70_000.0, f32::INFINITY, 50.0, DType::F16), 0.0);
        assert_eq!(ratio_of(70_000.0, f32::NEG_INFINITY, 50.0, DType::F16), f64::MAX);
        assert_eq!(ratio_of(70_000.0, f32::INFINITY, 50.0, DType::BF16), f64::MAX);
    }

    #[test]
    fn results_of_another_length_fail() {
        let comparison =
            Comparison { expected: vec![1.0], found: vec![], bounds: vec![1.0], dtype: DType::F32 };
        assert_eq!(comparison.worst().ratio, f64::MAX);
    }
}
