//! Top-p: only the nucleus of the distribution.

use candle_core::Tensor;

use crate::{
    Distribution, History, Processor, SamplingError,
    error::in_range,
    row::{Candidate, keep_only, leading, try_map_row},
};

/// Keeps the fewest most likely tokens whose probabilities sum to at least `p` (Holtzman et al., arXiv:1904.09751);
/// of equally likely ones the first.
#[derive(Clone, Copy, Debug)]
pub struct TopP(f32);

impl TopP {
    /// # Errors
    /// [`SamplingError::OutOfRange`] unless above 0 and at most 1.
    pub fn new(p: f32) -> Result<Self, SamplingError> {
        Ok(Self(in_range("top_p", p, (p > 0.0 && p <= 1.0, "above 0 and at most 1"))?))
    }
}

impl Processor for TopP {
    fn name(&self) -> &'static str {
        "top_p"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        let p = f64::from(self.0);
        if p == 1.0 {
            return Ok(logits);
        }
        try_map_row(&logits, |row| {
            let distribution = Distribution::from_logits(row)?;
            // Tokens below (1 - p) / n cannot make up 1 - p together, so the border lies above: few are left to order.
            let floor = (1.0 - p) / distribution.support_len() as f64;
            let likely = distribution.iter().filter(|&(_, probability)| probability >= floor);
            let candidate =
                |(token, probability): (u32, f64)| Candidate { token, key: -probability, probability };
            let kept = leading(likely.map(candidate).collect(), p);
            keep_only(row, kept.iter().map(|candidate| candidate.token));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    proptest! {
        #[test]
        fn keeps_the_nucleus(logits in logits(), p in 0.01f32..0.99) {
            let probabilities = softmax(&wide(&logits));
            let (mut sum, mut kept) = (0.0, Vec::new());
            for token in falling(&probabilities) {
                kept.push(token);
                sum += probabilities[token];
                if sum >= f64::from(p) {
                    break;
                }
            }
            check(TopP(p), (&logits, &NOTHING), &only(&probabilities, &kept))?;
        }
    }

    #[test]
    fn ranges_are_checked_and_the_likeliest_always_stays() {
        assert!([0.0, -1.0, 1.1, f32::NAN].iter().all(|&p| TopP::new(p).is_err()));
        assert_eq!(survivors(TopP(1e-6), &[1.0, 5.0, 5.0]), [1]);
        assert_eq!(survivors(TopP(1.0), &[1.0, -90.0, 5.0]), [0, 1, 2]);
    }
}
