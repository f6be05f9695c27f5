//! Top-n-sigma: only tokens that stand out from the noise of the logits.

use candle_core::Tensor;

use crate::{
    History, Processor, SamplingError,
    error::in_range,
    row::{map_row, maximum, retain_from},
};

/// Keeps tokens whose logits are at most `n` standard deviations below the largest (Tang et al., arXiv:2411.07641). The
/// mean and the deviation are those of all tokens that are left. Temperature does not change what it keeps.
#[derive(Clone, Copy, Debug)]
pub struct TopNSigma(f32);

impl TopNSigma {
    /// # Errors
    /// [`SamplingError::OutOfRange`] unless finite and above 0.
    pub fn new(n: f32) -> Result<Self, SamplingError> {
        let range = (n.is_finite() && n > 0.0, "a finite number above 0");
        Ok(Self(in_range("top_n_sigma", n, range)?))
    }
}

impl Processor for TopNSigma {
    fn name(&self) -> &'static str {
        "top_n_sigma"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        map_row(&logits, |row| {
            let maximum = f64::from(maximum(row));
            // Relative to the largest, so that the squares do not drown the differences.
            let below = row.iter().filter(|logit| logit.is_finite()).map(|&logit| f64::from(logit) - maximum);
            let (count, sum, squares) =
                below.fold((0.0, 0.0, 0.0), |(n, sum, squares), x| (n + 1.0, sum + x, squares + x * x));
            let mean = sum / count;
            let deviation = (squares / count - mean * mean).max(0.0).sqrt();
            let threshold = maximum - f64::from(self.0) * deviation;
            retain_from(row, threshold);
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    proptest! {
        #[test]
        fn keeps_what_is_near_the_largest(logits in logits(), n in 0.05f32..3.0) {
            let wide = wide(&logits);
            let finite: Vec<f64> = wide.iter().copied().filter(|logit| logit.is_finite()).collect();
            let mean = finite.iter().sum::<f64>() / finite.len() as f64;
            let variance = finite.iter().map(|logit| (logit - mean).powi(2)).sum::<f64>() / finite.len() as f64;
            let maximum = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let threshold = maximum - f64::from(n) * variance.sqrt();
            prop_assume!(variance == 0.0 || finite.iter().all(|logit| (logit - threshold).abs() > 1e-9));
            let kept: Vec<usize> = (0..wide.len()).filter(|&token| wide[token] >= threshold - 1e-12).collect();
            check(TopNSigma(n), (&logits, &NOTHING), &only(&softmax(&wide), &kept))?;
        }

        #[test]
        fn temperature_does_not_enter(logits in logits(), n in 0.05f32..3.0) {
            let halved: Vec<f32> = logits.iter().map(|logit| logit / 2.0).collect();
            prop_assert_eq!(survivors(TopNSigma(n), &logits), survivors(TopNSigma(n), &halved));
        }
    }

    #[test]
    fn ranges_are_checked() {
        assert!([0.0, -1.0, f32::INFINITY, f32::NAN].iter().all(|&n| TopNSigma::new(n).is_err()));
    }
}
