//! The processors of one request, and the draw.

use candle_core::Tensor;

use crate::{Processor, SamplerConfig, SamplingError, standard_processors, uniform};

/// Chooses tokens for one request. Stateless: which token depends on the logits and the token's number alone.
pub struct Sampler {
    processors: Vec<Box<dyn Processor>>,
    draw: Draw,
}

/// How a token is taken from the processed distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Draw {
    MostLikely,
    Random { seed: u64 },
}

impl Sampler {
    /// The standard processors; temperature 0 is greedy.
    ///
    /// # Errors
    /// [`SamplingError::OutOfRange`]
    pub fn new(config: &SamplerConfig) -> Result<Self, SamplingError> {
        let draw = match config.temperature {
            0.0 => Draw::MostLikely,
            _ => Draw::Random { seed: config.seed },
        };
        Ok(Self { processors: standard_processors(config)?, draw })
    }

    /// Processors of your own, applied in order, and a random draw.
    pub fn with_processors(processors: Vec<Box<dyn Processor>>, seed: u64) -> Self {
        Self { processors, draw: Draw::Random { seed } }
    }

    /// The token for these logits; `draw_idx` is its number in the answer.
    ///
    /// # Shapes
    /// `logits`: `[v]` in f32.
    ///
    /// # Errors
    /// [`SamplingError::NotFinite`] for broken logits, [`SamplingError::NoCandidate`] if all are ruled out.
    pub fn sample(&self, logits: &Tensor, draw_idx: u64) -> Result<u32, SamplingError> {
        let mut processed = logits.clone();
        if !self.processors.is_empty() {
            check_finite(&logits.to_vec1::<f32>()?)?;
        }
        for processor in &self.processors {
            processed = processor.process(processed)?;
        }
        let row = processed.to_vec1::<f32>()?;
        check_finite(&row)?;
        let (best, maximum) = most_likely(&row).ok_or(SamplingError::NoCandidate)?;
        match self.draw {
            Draw::MostLikely => Ok(best),
            Draw::Random { seed } => Ok(draw(&row, maximum, uniform(seed, draw_idx)).unwrap_or(best)),
        }
    }
}

/// Minus infinity rules a token out; NaN and plus infinity are faults.
fn check_finite(row: &[f32]) -> Result<(), SamplingError> {
    let is_fault = |logit: f32| logit.is_nan() || logit == f32::INFINITY;
    if !row.iter().fold(false, |found, &logit| found | is_fault(logit)) {
        return Ok(());
    }
    let token = row.iter().position(|&logit| is_fault(logit)).unwrap_or_default();
    Err(SamplingError::NotFinite { token, found: row[token] })
}

/// The first of the largest logits.
fn most_likely(row: &[f32]) -> Option<(u32, f32)> {
    let maximum = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let token = row.iter().position(|&logit| logit == maximum)?;
    (maximum > f32::NEG_INFINITY).then_some((token as u32, maximum))
}

/// The token at which the cumulated probability passes `u`. `None` only if rounding leaves `u` past the end.
fn draw(row: &[f32], maximum: f32, u: f64) -> Option<u32> {
    let possible = row.iter().enumerate().filter(|(_, logit)| **logit > f32::NEG_INFINITY);
    let weights: Vec<(usize, f64)> =
        possible.map(|(token, &logit)| (token, f64::from(logit - maximum).exp())).collect();
    let mut left = u * weights.iter().map(|(_, weight)| weight).sum::<f64>();
    let (token, _) = weights.into_iter().find(|(_, weight)| {
        left -= weight;
        left < 0.0
    })?;
    Some(token as u32)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn sample(config: &SamplerConfig, logits: &[f32], draw_idx: u64) -> Result<u32, SamplingError> {
        Sampler::new(config)?.sample(&Tensor::new(logits, &Device::Cpu).unwrap(), draw_idx)
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        assert_eq!(sample(&SamplerConfig::default(), &[1.0, 4.0, 4.0], 0).unwrap(), 1);
    }

    #[test]
    fn broken_logits_are_refused() {
        for config in [SamplerConfig::default(), SamplerConfig { temperature: 1.0, ..Default::default() }] {
            let error = sample(&config, &[0.0, f32::NAN], 0).unwrap_err();
            assert_eq!(error.to_string(), "the logit of token 1 is NaN");
            assert!(matches!(sample(&config, &[f32::INFINITY], 0), Err(SamplingError::NotFinite { .. })));
            let nothing = sample(&config, &[f32::NEG_INFINITY; 3], 0);
            assert!(nothing.is_err());
        }
    }

    #[test]
    fn out_of_range_values_say_the_range() {
        let config = SamplerConfig { temperature: -1.0, ..Default::default() };
        let error = sample(&config, &[0.0], 0).unwrap_err();
        assert_eq!(error.to_string(), "temperature is -1, expected a finite number of at least 0");
    }

    /// Frequencies of 8,000 draws against the probabilities; 18.5 is exceeded once in a thousand (4 degrees).
    fn check_frequencies(temperature: f32) {
        let logits = [0.5f32, 1.5, -0.5, 0.0, 2.0];
        let weights = logits.map(|logit| f64::from(logit / temperature).exp());
        let total: f64 = weights.iter().sum();
        let mut counts = [0f64; 5];
        let config = SamplerConfig { temperature, seed: 11, ..Default::default() };
        for i in 0..8000 {
            counts[sample(&config, &logits, i).unwrap() as usize] += 1.0;
        }
        let cells = counts.iter().zip(weights).map(|(count, weight)| {
            let expected = 8000.0 * weight / total;
            (count - expected).powi(2) / expected
        });
        let chi_square: f64 = cells.sum();
        assert!(chi_square < 18.5, "temperature {temperature}: {chi_square}");
    }

    #[test]
    fn frequencies_follow_the_distribution() {
        [0.5, 1.0, 1.5].into_iter().for_each(check_frequencies);
    }
}
