//! Typical-p: only tokens that say about as much as the model expects.

use candle_core::Tensor;

use crate::{
    History, Processor, SamplingError,
    error::in_range,
    row::{Candidate, keep_only, leading, try_map_row},
    softmax::Softmax,
};

/// Keeps the tokens whose surprise -ln p is closest to the entropy, until their probabilities sum to at least `p`
/// (locally typical sampling: Meister, Pimentel, Wiher and Cotterell, arXiv:2202.00666, equation 8). May exclude the
/// most likely token.
#[derive(Clone, Copy, Debug)]
pub struct TypicalP(f32);

impl TypicalP {
    /// # Errors
    /// [`SamplingError::OutOfRange`] unless above 0 and at most 1.
    pub fn new(p: f32) -> Result<Self, SamplingError> {
        Ok(Self(in_range("typical_p", p, (p > 0.0 && p <= 1.0, "above 0 and at most 1"))?))
    }
}

impl Processor for TypicalP {
    fn name(&self) -> &'static str {
        "typical_p"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        if self.0 == 1.0 {
            return Ok(logits);
        }
        try_map_row(&logits, |row| {
            let softmax = Softmax::new(row)?;
            // -ln p is the log-normaliser less the logit.
            let typical = softmax.log_normaliser - softmax.entropy(row);
            let candidate = |(token, probability)| {
                let key = (typical - f64::from(row[token as usize])).abs();
                Candidate { token, key, probability }
            };
            let kept = leading(softmax.distribution.iter().map(candidate).collect(), self.0.into());
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
        fn keeps_the_typical(logits in logits(), p in 0.01f32..0.99) {
            let probabilities = softmax(&wide(&logits));
            let possible = falling(&probabilities);
            let entropy: f64 = possible.iter().map(|&token| -probabilities[token] * probabilities[token].ln()).sum();
            let distance = |token: usize| (-probabilities[token].ln() - entropy).abs();
            // Equal up to rounding means that rounding decides.
            let is_tie = |a: usize, b: usize| probabilities[a] != probabilities[b] && (distance(a) - distance(b)).abs() < 1e-9;
            prop_assume!(!possible.iter().any(|&a| possible.iter().any(|&b| is_tie(a, b))));
            let mut order = possible;
            order.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(a.cmp(&b)));
            let (mut sum, mut kept) = (0.0, Vec::new());
            for token in order {
                kept.push(token);
                sum += probabilities[token];
                if sum >= f64::from(p) {
                    break;
                }
            }
            check(TypicalP(p), (&logits, &NOTHING), &only(&probabilities, &kept))?;
        }
    }

    #[test]
    fn the_most_likely_may_be_untypical() {
        // One token of 0.3 and 70 of 0.01: the entropy is close to the surprise of the many.
        let mut logits = vec![0f32; 71];
        logits[5] = 30f32.ln();
        assert!(!survivors(TypicalP(0.5), &logits).contains(&5));
        assert!(survivors(TypicalP(0.8), &logits).contains(&5));
    }

    #[test]
    fn ranges_are_checked() {
        assert!([0.0, -1.0, 1.1, f32::NAN].iter().all(|&p| TypicalP::new(p).is_err()));
    }
}
