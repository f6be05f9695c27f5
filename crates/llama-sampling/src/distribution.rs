//! A distribution over tokens, ready to be drawn from.

use crate::{
    SamplingError,
    softmax::{Softmax, sum},
};

/// Tokens whose probabilities are summed at once on the way to the one that is drawn.
const CHUNK_LEN: usize = 256;

/// The tokens that can be chosen, rising, and their probabilities, which sum to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    tokens: Vec<u32>,
    probabilities: Vec<f64>,
}

impl Distribution {
    /// From weights of tokens that rise; those of weight 0 are left out.
    ///
    /// # Errors
    /// [`SamplingError::NoCandidate`] if no weight is positive.
    pub fn from_weights(weights: impl IntoIterator<Item = (u32, f64)>) -> Result<Self, SamplingError> {
        let (tokens, weights): (Vec<u32>, Vec<f64>) =
            weights.into_iter().filter(|&(_, weight)| weight > 0.0).unzip();
        match tokens.is_empty() {
            true => Err(SamplingError::NoCandidate),
            false => Ok(Self::normalised(tokens, weights)),
        }
    }

    /// The softmax of logits in f32; minus infinity rules a token out.
    ///
    /// # Errors
    /// [`SamplingError::NoCandidate`] if all are ruled out.
    pub fn from_logits(row: &[f32]) -> Result<Self, SamplingError> {
        Ok(Softmax::new(row)?.distribution)
    }

    /// All probability on one token.
    pub fn certain(token: u32) -> Self {
        Self { tokens: vec![token], probabilities: vec![1.0] }
    }

    /// Divides weights, one of which is positive, by their sum.
    pub(crate) fn normalised(tokens: Vec<u32>, mut weights: Vec<f64>) -> Self {
        debug_assert!(tokens.is_sorted_by(|a, b| a < b), "tokens must rise");
        let scale = 1.0 / sum(&weights);
        weights.iter_mut().for_each(|weight| *weight *= scale);
        Self { tokens, probabilities: weights }
    }

    /// The probability of a token; 0 if it is ruled out.
    pub fn probability(&self, token: u32) -> f64 {
        self.tokens.binary_search(&token).map_or(0.0, |i| self.probabilities[i])
    }

    /// Every token that can be chosen, rising, with its probability. That may be so small that it is 0.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f64)> + '_ {
        self.tokens.iter().copied().zip(self.probabilities.iter().copied())
    }

    /// Tokens that can be chosen.
    pub fn support_len(&self) -> usize {
        self.tokens.len()
    }

    /// The token at which the cumulated probability passes `u`, which is uniform in [0, 1).
    pub fn draw(&self, u: f64) -> u32 {
        let (mut left, mut start) = (u, 0);
        for chunk in self.probabilities.chunks(CHUNK_LEN) {
            let inside = sum(chunk);
            if left < inside {
                break;
            }
            left -= inside;
            start += chunk.len();
        }
        let rest = self.probabilities.iter().skip(start);
        let passes = rest.clone().position(|probability| {
            left -= probability;
            left < 0.0
        });
        // Rounding may leave `u` past the end: then the last token that can be meant.
        let last = || self.probabilities.iter().rposition(|&probability| probability > 0.0);
        self.tokens[passes.map(|i| start + i).or_else(last).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn draws_where_the_cumulated_probability_passes() {
        let distribution = Distribution::from_weights([(2, 1.0), (5, 0.0), (9, 3.0)]).unwrap();
        assert_eq!(distribution.iter().collect::<Vec<_>>(), [(2, 0.25), (9, 0.75)]);
        assert_eq!([0.0, 0.24, 0.25, 0.999].map(|u| distribution.draw(u)), [2, 2, 9, 9]);
        assert_eq!([2, 5, 9].map(|token| distribution.probability(token)), [0.25, 0.0, 0.75]);
        assert_eq!(Distribution::certain(7).draw(0.5), 7);
        assert!(matches!(Distribution::from_weights([(1, 0.0)]), Err(SamplingError::NoCandidate)));
    }

    #[test]
    fn ruled_out_is_not_merely_improbable() {
        let distribution = Distribution::from_logits(&[0.0, -2000.0, f32::NEG_INFINITY, 0.0]).unwrap();
        assert_eq!(distribution.iter().collect::<Vec<_>>(), [(0, 0.5), (1, 0.0), (3, 0.5)]);
        assert!([0.0, 0.4999, 0.5, 0.9999].iter().all(|&u| distribution.draw(u) != 1));
        assert!(matches!(Distribution::from_logits(&[f32::NEG_INFINITY]), Err(SamplingError::NoCandidate)));
    }

    proptest! {
        /// Whole numbers, so that no sum is rounded.
        #[test]
        fn chunks_do_not_show(weights in prop::collection::vec(0u32..4, 1..900), share in 0.0f64..1.0) {
            let total: u32 = weights.iter().sum();
            prop_assume!(total > 0);
            let scale = total.next_power_of_two();
            let rest = (weights.len() as u32, f64::from(scale - total));
            let all = (0..).zip(weights.iter().map(|&weight| f64::from(weight)));
            let distribution = Distribution::from_weights(all.chain([rest])).unwrap();
            let place = (share * f64::from(scale)).floor();
            let mut passed = 0.0;
            let expected = weights.iter().position(|&weight| {
                passed += f64::from(weight);
                passed > place
            });
            prop_assert_eq!(distribution.draw(place / f64::from(scale)), expected.unwrap_or(weights.len()) as u32);
        }
    }
}
