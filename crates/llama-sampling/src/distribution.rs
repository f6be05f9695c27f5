//! A distribution over tokens, ready to be drawn from.

use crate::{SamplingError, row::most_likely};

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
        let (tokens, mut probabilities): (Vec<u32>, Vec<f64>) =
            weights.into_iter().filter(|&(_, weight)| weight > 0.0).unzip();
        debug_assert!(tokens.is_sorted_by(|a, b| a < b), "tokens must rise");
        let total: f64 = probabilities.iter().sum();
        if tokens.is_empty() {
            return Err(SamplingError::NoCandidate);
        }
        probabilities.iter_mut().for_each(|probability| *probability /= total);
        Ok(Self { tokens, probabilities })
    }

    /// The softmax of logits in f32; minus infinity rules a token out.
    ///
    /// # Errors
    /// [`SamplingError::NoCandidate`] if all are ruled out.
    pub fn from_logits(row: &[f32]) -> Result<Self, SamplingError> {
        let (_, maximum) = most_likely(row).ok_or(SamplingError::NoCandidate)?;
        let possible = row.iter().enumerate().filter(|(_, logit)| **logit > f32::NEG_INFINITY);
        let weight = |logit: f32| (f64::from(logit) - f64::from(maximum)).exp();
        Self::from_weights(possible.map(|(token, &logit)| (token as u32, weight(logit))))
    }

    /// All probability on one token.
    pub fn certain(token: u32) -> Self {
        Self { tokens: vec![token], probabilities: vec![1.0] }
    }

    /// The probability of a token; 0 if it is ruled out.
    pub fn probability(&self, token: u32) -> f64 {
        self.tokens.binary_search(&token).map_or(0.0, |i| self.probabilities[i])
    }

    /// Every token that can be chosen, rising, with its probability.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f64)> + '_ {
        self.tokens.iter().copied().zip(self.probabilities.iter().copied())
    }

    /// Tokens that can be chosen.
    pub fn support_len(&self) -> usize {
        self.tokens.len()
    }

    /// The expected surprise, in nats (Shannon, 1948).
    pub fn entropy(&self) -> f64 {
        self.probabilities.iter().map(|p| -p * p.ln()).sum()
    }

    /// The token at which the cumulated probability passes `u`, which is uniform in [0, 1).
    pub fn draw(&self, u: f64) -> u32 {
        let mut left = u;
        let passes = self.probabilities.iter().position(|probability| {
            left -= probability;
            left < 0.0
        });
        // Rounding may leave `u` past the end.
        self.tokens[passes.unwrap_or(self.tokens.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
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
    fn weights_that_vanish_leave_the_support() {
        let distribution = Distribution::from_logits(&[0.0, -2000.0, f32::NEG_INFINITY, 0.0]).unwrap();
        assert_eq!(distribution.iter().collect::<Vec<_>>(), [(0, 0.5), (3, 0.5)]);
        assert!((distribution.entropy() - 2f64.ln()).abs() < 1e-15);
        assert!(matches!(Distribution::from_logits(&[f32::NEG_INFINITY]), Err(SamplingError::NoCandidate)));
    }
}
