//! Top-p: only the nucleus of the distribution.

use candle_core::Tensor;

use crate::{
    History, Processor, SamplingError,
    processor::{map_row, retain},
};

/// Keeps the fewest most likely tokens whose probabilities sum to at least `p` (Holtzman et al., arXiv:1904.09751);
/// of equally likely ones the first.
#[derive(Clone, Copy, Debug)]
pub struct TopP(f32);

impl TopP {
    /// # Errors
    /// [`SamplingError::OutOfRange`] unless above 0 and at most 1.
    pub fn new(p: f32) -> Result<Self, SamplingError> {
        if p > 0.0 && p <= 1.0 {
            return Ok(Self(p));
        }
        Err(SamplingError::OutOfRange {
            parameter: "top_p",
            found: p.to_string(),
            range: "above 0 and at most 1",
        })
    }
}

impl Processor for TopP {
    fn name(&self) -> &'static str {
        "top_p"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        if self.0 == 1.0 {
            return Ok(logits);
        }
        map_row(&logits, |row| {
            let last = self.last_of_nucleus(row);
            retain(row, |token, logit| last.is_none_or(|last| !is_after((token, logit), last)));
        })
    }
}

impl TopP {
    /// The least likely token of the nucleus; `None` if no token has a probability.
    fn last_of_nucleus(&self, row: &[f32]) -> Option<(usize, f32)> {
        let maximum = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |logit: f32| f64::from(logit - maximum).exp();
        let total: f64 = row.iter().map(|&logit| weight(logit)).sum();
        // Tokens below (1 - p) / v cannot make up 1 - p together, so the nucleus lies above: few are left to sort.
        let floor = total * (1.0 - f64::from(self.0)) / row.len() as f64;
        let above = row.iter().copied().enumerate().filter(|&(_, logit)| weight(logit) >= floor);
        let mut candidates: Vec<(usize, f32)> = above.collect();
        candidates.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut sum = 0.0;
        let reaches = candidates.iter().position(|&(_, logit)| {
            sum += weight(logit);
            sum >= f64::from(self.0) * total
        });
        // Rounding may leave the sum a little short of p: then all candidates are the nucleus.
        reaches.map_or(candidates.last().copied(), |i| Some(candidates[i]))
    }
}

/// Whether `a` comes after `b` when sorted by falling logit, then by token.
fn is_after(a: (usize, f32), b: (usize, f32)) -> bool {
    a.1 < b.1 || (a.1 == b.1 && a.0 > b.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::top_k::survivors, *};

    /// The definition, in f64, over a full sort.
    fn nucleus(logits: &[f32], p: f32) -> Vec<usize> {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let weight = |token: usize| f64::from(logits[token]).exp();
        let total: f64 = (0..logits.len()).map(weight).sum();
        let mut sum = 0.0;
        let mut kept = Vec::new();
        for token in order {
            kept.push(token);
            sum += weight(token);
            if sum >= f64::from(p) * total * (1.0 - 1e-12) {
                break;
            }
        }
        kept.sort_unstable();
        kept
    }

    proptest! {
        #[test]
        fn keeps_the_nucleus(logits in prop::collection::vec(-9f32..9.0, 1..40), p in 0.01f32..0.99) {
            prop_assert_eq!(survivors(TopP(p), &logits), nucleus(&logits, p));
        }
    }

    #[test]
    fn ranges_are_checked_and_the_likeliest_always_stays() {
        assert!([0.0, -1.0, 1.1, f32::NAN].iter().all(|&p| TopP::new(p).is_err()));
        assert_eq!(survivors(TopP(1e-6), &[1.0, 5.0, 5.0]), [1]);
    }
}
