//! Log-probabilities of a distribution, for reports.

use std::iter;

use candle_core::Tensor;

use crate::{
    SamplingError,
    row::{check_finite, largest},
    softmax::Softmax,
};

/// A token and ln p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logprob {
    /// The token.
    pub token: u32,
    /// Natural logarithm of its probability.
    pub logprob: f32,
}

/// Log-probabilities of `token`, then of the `num_alternatives` most likely tokens, falling.
///
/// # Shapes
/// `logits`: `[v]` in f32.
///
/// # Errors
/// [`SamplingError::NotFinite`] for broken logits, [`SamplingError::NoCandidate`] if `token` is outside the vocabulary.
pub fn logprobs(logits: &Tensor, token: u32, num_alternatives: usize) -> Result<Vec<Logprob>, SamplingError> {
    let row = logits.to_vec1::<f32>()?;
    check_finite(&row)?;
    let chosen = *row.get(token as usize).ok_or(SamplingError::NoCandidate)?;
    let log_normaliser = Softmax::new(&row)?.log_normaliser;
    let entry =
        |token: u32, logit: f32| Logprob { token, logprob: (f64::from(logit) - log_normaliser) as f32 };
    let alternatives =
        largest(&row, num_alternatives).into_iter().map(|token| entry(token, row[token as usize]));
    Ok(iter::once(entry(token, chosen)).chain(alternatives).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_fall_and_sum_to_one() {
        let logits = Tensor::new(&[1f32, 3.0, 2.0, 3.0], &candle_core::Device::Cpu).unwrap();
        let reported = logprobs(&logits, 2, 9).unwrap();
        let tokens: Vec<u32> = reported.iter().map(|entry| entry.token).collect();
        assert_eq!(tokens, [2, 1, 3, 2, 0]);
        let mass: f32 = reported[1..].iter().map(|entry| entry.logprob.exp()).sum();
        assert!((mass - 1.0).abs() < 1e-6);
        assert_eq!(logprobs(&logits, 0, 1).unwrap().len(), 2);
        assert_eq!(logprobs(&logits, 0, 0).unwrap().len(), 1);
        assert!(matches!(logprobs(&logits, 4, 0), Err(SamplingError::NoCandidate)));
        let broken = Tensor::new(&[1f32, f32::NAN], logits.device()).unwrap();
        assert!(matches!(logprobs(&broken, 0, 0), Err(SamplingError::NotFinite { token: 1, .. })));
    }
}
