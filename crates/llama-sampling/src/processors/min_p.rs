//! Min-p: only tokens that are not much less likely than the best.

use candle_core::Tensor;

use crate::{
    History, Processor, SamplingError,
    processor::{map_row, retain},
};

/// Keeps tokens at least `p` times as likely as the most likely (Nguyen et al., arXiv:2407.01082).
#[derive(Clone, Copy, Debug)]
pub struct MinP(f32);

impl MinP {
    /// # Errors
    /// [`SamplingError::OutOfRange`] unless from 0 to 1.
    pub fn new(p: f32) -> Result<Self, SamplingError> {
        if (0.0..=1.0).contains(&p) {
            return Ok(Self(p));
        }
        Err(SamplingError::OutOfRange { parameter: "min_p", found: p.to_string(), range: "from 0 to 1" })
    }
}

impl Processor for MinP {
    fn name(&self) -> &'static str {
        "min_p"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        map_row(&logits, |row| {
            let maximum = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let threshold = maximum + self.0.ln();
            retain(row, |_, logit| logit >= threshold);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::top_k::survivors, *};

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
