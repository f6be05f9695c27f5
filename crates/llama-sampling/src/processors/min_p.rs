//! Min-p: only tokens that are not much less likely than the best.

use candle_core::Tensor;

use crate::{
    History, Processor, SamplingError,
    error::in_range,
    row::{map_row, maximum, retain_from},
};

/// Keeps tokens at least `p` times as likely as the most likely (Nguyen et al., arXiv:2407.01082).
#[derive(Clone, Copy, Debug)]
pub struct MinP(f32);

impl MinP {
    /// # Errors
    /// [`SamplingError::OutOfRange`] unless from 0 to 1.
    pub fn new(p: f32) -> Result<Self, SamplingError> {
        Ok(Self(in_range("min_p", p, ((0.0..=1.0).contains(&p), "from 0 to 1"))?))
    }
}

impl Processor for MinP {
    fn name(&self) -> &'static str {
        "min_p"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        map_row(&logits, |row| {
            let threshold = f64::from(maximum(row)) + f64::from(self.0).ln();
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
        fn keeps_what_is_likely_enough(logits in logits(), p in 0.0f32..1.0) {
            let probabilities = softmax(&wide(&logits));
            let largest = probabilities.iter().copied().fold(0.0, f64::max);
            let mut kept = falling(&probabilities);
            kept.retain(|&token| probabilities[token] >= f64::from(p) * largest);
            check(MinP(p), (&logits, &NOTHING), &only(&probabilities, &kept))?;
        }
    }

    #[test]
    fn keeps_tokens_near_the_best() {
        let logits = [0.0, 0.5f32.ln(), 0.2f32.ln(), 0.05f32.ln()];
        assert_eq!(survivors(MinP(0.19), &logits), [0, 1, 2]);
        assert_eq!(survivors(MinP(1.0), &logits), [0]);
        assert_eq!(survivors(MinP(0.0), &logits), [0, 1, 2, 3]);
    }

    #[test]
    fn ranges_are_checked() {
        assert!([-0.1, 1.1, f32::NAN].iter().all(|&p| MinP::new(p).is_err()));
    }
}
