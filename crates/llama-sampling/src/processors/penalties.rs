//! Repetition, frequency and presence penalties.

use candle_core::Tensor;
use llama_engine::Penalties as Config;

use crate::{
    History, Processor, SamplingError,
    error::{at_least_one, in_range},
    row::map_row,
};

/// Lowers the logits of tokens that the last `last_n` tokens of the sequence have.
///
/// Repetition (Keskar et al., CTRL, arXiv:1909.05858, section 4.1) divides positive logits and multiplies negative ones,
/// for tokens of prompt and answer alike. Frequency and presence (as in OpenAI's API) subtract, in logits: frequency once for
/// each time that the answer has the token, presence once if it does.
#[derive(Clone, Debug)]
pub struct Penalties {
    repetition: f32,
    frequency: f32,
    presence: f32,
    last_n: usize,
}

impl Penalties {
    /// # Errors
    /// [`SamplingError::OutOfRange`]; the ranges stand at [`llama_engine::Penalties`].
    pub fn new(config: &Config) -> Result<Self, SamplingError> {
        let Config { repetition, frequency, presence, last_n, .. } = *config;
        let inside = (repetition.is_finite() && repetition > 0.0, "a finite number above 0");
        in_range("penalties.repetition", repetition, inside)?;
        for (parameter, penalty) in [("penalties.frequency", frequency), ("penalties.presence", presence)] {
            in_range(parameter, penalty, ((-2.0..=2.0).contains(&penalty), "from -2 to 2"))?;
        }
        let last_n = at_least_one("penalties.last_n", last_n.unwrap_or(usize::MAX))?;
        Ok(Self { repetition, frequency, presence, last_n })
    }

    /// Whether it changes nothing.
    pub fn is_neutral(&self) -> bool {
        self.repetition == 1.0 && self.frequency == 0.0 && self.presence == 0.0
    }

    /// The logit of a token that was there, `count` times in the answer.
    fn lowered(&self, logit: f32, count: u32) -> f32 {
        let repeated = if logit > 0.0 { logit / self.repetition } else { logit * self.repetition };
        let presence = if count > 0 { self.presence } else { 0.0 };
        // A penalty that leaves the numbers does not rule out, nor make broken.
        (repeated - count as f32 * self.frequency - presence).clamp(f32::MIN, f32::MAX)
    }
}

impl Processor for Penalties {
    fn name(&self) -> &'static str {
        "penalties"
    }

    fn process(&mut self, logits: Tensor, history: &History<'_>) -> Result<Tensor, SamplingError> {
        let tokens = history.tokens();
        let start = tokens.len().saturating_sub(self.last_n);
        map_row(&logits, |row| {
            // Per token 0 if it was not there, else 1 and its count in the answer.
            let mut seen = vec![0u32; row.len()];
            for (position, &token) in tokens.iter().enumerate().skip(start) {
                if let Some(seen) = seen.get_mut(token as usize) {
                    *seen = (*seen).max(1) + u32::from(position >= history.prompt().len());
                }
            }
            for &token in &tokens[start..] {
                let Some(seen) = seen.get_mut(token as usize).map(std::mem::take).filter(|&seen| seen > 0)
                else {
                    continue;
                };
                let logit = &mut row[token as usize];
                if *logit > f32::NEG_INFINITY {
                    *logit = self.lowered(*logit, seen - 1);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    proptest! {
        #[test]
        fn lowers_what_was_there(
            logits in logits(),
            (repetition, frequency, presence) in (0.5f32..2.0, -2f32..2.0, -2f32..2.0),
            (tokens, prompt_len, last_n) in (prop::collection::vec(0u32..60, 0..40), 0usize..40, prop::option::of(1usize..50)),
        ) {
            let history = History::new(&tokens, prompt_len.min(tokens.len()));
            let window = &tokens[tokens.len() - last_n.unwrap_or(99).min(tokens.len())..];
            let answer = &window[window.len() - window.len().min(history.answer().len())..];
            let mut expected = wide(&logits);
            for (token, logit) in expected.iter_mut().enumerate() {
                let token = token as u32;
                if window.contains(&token) {
                    *logit = if *logit > 0.0 { *logit / f64::from(repetition) } else { *logit * f64::from(repetition) };
                }
                let count = answer.iter().filter(|&&other| other == token).count();
                *logit -= count as f64 * f64::from(frequency);
                *logit -= if count > 0 { f64::from(presence) } else { 0.0 };
            }
            let config = Config { repetition, frequency, presence, last_n, dry: None };
            check(Penalties::new(&config).unwrap(), (&logits, &history), &softmax(&expected))?;
        }
    }

    #[test]
    fn the_prompt_counts_for_repetition_alone() {
        let config = Config { repetition: 2.0, frequency: 0.5, presence: 0.25, ..Config::default() };
        let history = History::new(&[0, 0, 1, 1, 7], 2);
        let row = processed(&mut Penalties::new(&config).unwrap(), &[4.0, 4.0, 4.0], &history);
        assert_eq!(row, [2.0, 0.75, 4.0]);
    }

    #[test]
    fn ranges_are_checked() {
        let usual = Config::default();
        for config in [
            Config { repetition: 0.0, ..usual.clone() },
            Config { repetition: f32::INFINITY, ..usual.clone() },
            Config { frequency: 2.1, ..usual.clone() },
            Config { frequency: f32::NAN, ..usual.clone() },
            Config { presence: -2.1, ..usual.clone() },
            Config { last_n: Some(0), ..usual.clone() },
        ] {
            assert!(Penalties::new(&config).is_err(), "{config:?}");
        }
        assert!(Penalties::new(&usual).unwrap().is_neutral());
    }
}
