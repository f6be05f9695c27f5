//! Logits to probabilities in f64, fast enough for whole vocabularies and the same bits on every machine: neither the
//! library's exponential, which differs between systems, nor the order of a sum that a compiler chose.

use std::f64::consts::LOG2_E;

use crate::{
    Distribution, SamplingError,
    row::{maximum, possible},
};

/// Partial sums that are kept side by side.
const LANES: usize = 8;

/// Probabilities, and the logarithm of what the exponentials of the logits were divided by: a token's surprise is
/// `log_normaliser - logit`, in nats.
#[derive(Clone, Debug)]
pub(crate) struct Softmax {
    pub(crate) distribution: Distribution,
    pub(crate) log_normaliser: f64,
}

impl Softmax {
    /// # Errors
    /// [`SamplingError::NoCandidate`] if all tokens are ruled out.
    pub(crate) fn new(row: &[f32]) -> Result<Self, SamplingError> {
        let maximum = f64::from(maximum(row));
        if maximum == f64::NEG_INFINITY {
            return Err(SamplingError::NoCandidate);
        }
        let num_possible = row.iter().filter(|&&logit| logit > f32::NEG_INFINITY).count();
        let mut tokens: Vec<u32> = Vec::with_capacity(num_possible);
        let mut weights: Vec<f64> = Vec::with_capacity(num_possible);
        if num_possible == row.len() {
            tokens.extend(0..row.len() as u32);
            weights.extend(row.iter().map(|&logit| exp(f64::from(logit) - maximum)));
        } else {
            possible(row).for_each(|(token, logit)| {
                tokens.push(token);
                weights.push(exp(f64::from(logit) - maximum));
            });
        }
        let log_normaliser = maximum + sum(&weights).ln();
        Ok(Self { distribution: Distribution::normalised(tokens, weights), log_normaliser })
    }

    /// The expected surprise, in nats (Shannon, 1948). `row` is that which this was made from.
    pub(crate) fn entropy(&self, row: &[f32]) -> f64 {
        let surprise = |token: u32| self.log_normaliser - f64::from(row[token as usize]);
        self.distribution.iter().map(|(token, probability)| probability * surprise(token)).sum()
    }
}

/// e^x for x of at most 0; 0 below -708. Relative error below 4e-16.
///
/// Cody-Waite reduction to |r| <= ln 2 / 2, then a polynomial of degree 12 (the Taylor coefficients), times 2^n. Without a
/// branch, so that compilers turn a loop over it into vectors.
pub(crate) fn exp(x: f64) -> f64 {
    /// Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const COEFFICIENTS: [f64; 11] = [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
    ];
    let rounded = x * LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let polynomial = COEFFICIENTS.iter().fold(1.0 / 479_001_600.0, |sum, coefficient| sum * r + coefficient);
    let power = (polynomial * r + 1.0).to_bits().wrapping_add(rounded.to_bits() << 52);
    if x < -708.0 { 0.0 } else { f64::from_bits(power) }
}

/// The sum, in lanes.
pub(crate) fn sum(values: &[f64]) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += value);
    }
    lanes.iter().chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exp_is_close_to_the_library(x in -708.0f64..=0.0) {
            prop_assert!((exp(x) / x.exp() - 1.0).abs() < 4e-16, "{}: {} {}", x, exp(x), x.exp());
        }

        #[test]
        fn the_log_normaliser_gives_the_surprise(row in prop::collection::vec(-40f32..40.0, 1..40)) {
            let softmax = Softmax::new(&row).unwrap();
            let mut entropy = 0.0;
            for (token, probability) in softmax.distribution.iter() {
                let surprise = softmax.log_normaliser - f64::from(row[token as usize]);
                prop_assert!((surprise + probability.ln()).abs() < 1e-12);
                entropy -= probability * probability.ln();
            }
            prop_assert!((softmax.entropy(&row) - entropy).abs() < 1e-12);
        }
    }

    #[test]
    fn exp_of_the_ends() {
        assert_eq!([0.0, -0.0, -708.1, -1e300, f64::NEG_INFINITY].map(exp), [1.0, 1.0, 0.0, 0.0, 0.0]);
        assert!(exp(-708.0) > 0.0);
    }

    #[test]
    fn sums_take_what_is_left_over() {
        let values: Vec<f64> = (1..=21).map(f64::from).collect();
        assert_eq!(sum(&values), 231.0);
        assert_eq!(sum(&[]), 0.0);
    }
}
