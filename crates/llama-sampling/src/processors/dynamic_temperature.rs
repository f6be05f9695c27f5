//! Dynamic temperature: the surer the model, the lower.

use candle_core::Tensor;
use llama_engine::DynamicTemperature as Config;

use super::temperature::divide;
use crate::{History, Processor, SamplingError, error::in_range, row::try_map_row, softmax::Softmax};

/// Divides all logits by T = low + (high - low) (H / ln n)^exponent, where H is the entropy of the n tokens that are
/// left (kalomaze, llama.cpp#4972, 2024; the idea of a temperature that follows the entropy is also in Zhang et al.,
/// arXiv:2403.14541, with another formula).
#[derive(Clone, Copy, Debug)]
pub struct DynamicTemperature {
    low: f32,
    high: f32,
    exponent: f64,
}

impl DynamicTemperature {
    /// Around `temperature`, which has been checked.
    ///
    /// # Errors
    /// [`SamplingError::OutOfRange`]; the ranges stand at [`llama_engine::DynamicTemperature`].
    pub fn new(temperature: f32, config: &Config) -> Result<Self, SamplingError> {
        let Config { range, exponent } = *config;
        let finite = |x: f32, is_inside: bool| x.is_finite() && is_inside;
        in_range(
            "dynamic_temperature.range",
            range,
            (finite(range, range >= 0.0), "a finite number of at least 0"),
        )?;
        in_range(
            "dynamic_temperature.exponent",
            exponent,
            (finite(exponent, exponent > 0.0), "a finite number above 0"),
        )?;
        let low = (temperature - range).max(0.0);
        Ok(Self { low, high: (temperature + range).min(f32::MAX), exponent: exponent.into() })
    }

    fn temperature(&self, row: &[f32]) -> Result<f32, SamplingError> {
        let softmax = Softmax::new(row)?;
        let num_left = softmax.distribution.support_len();
        if num_left == 1 {
            return Ok(self.high);
        }
        let normalised = softmax.entropy(row) / (num_left as f64).ln();
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        Ok((low + (high - low) * normalised.clamp(0.0, 1.0).powf(self.exponent)) as f32)
    }
}

impl Processor for DynamicTemperature {
    fn name(&self) -> &'static str {
        "dynamic_temperature"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        try_map_row(&logits, |row| {
            let temperature = self.temperature(row)?;
            divide(row, temperature);
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
        fn divides_by_what_the_entropy_says(
            logits in logits(),
            (temperature, range, exponent) in (0.6f32..2.0, 0.0f32..0.5, 0.2f32..3.0),
        ) {
            let (wide, t, r) = (wide(&logits), f64::from(temperature), f64::from(range));
            let probabilities = softmax(&wide);
            let num_left = falling(&probabilities).len();
            let entropy: f64 =
                probabilities.iter().filter(|p| **p > 0.0).map(|p| p * (1.0 / p).ln()).sum();
            let share = if num_left > 1 { entropy / (num_left as f64).ln() } else { 0.0 };
            let dynamic = (t - r) + 2.0 * r * share.powf(exponent.into());
            let divided: Vec<f64> = wide.iter().map(|logit| logit / dynamic).collect();
            let processor = DynamicTemperature::new(temperature, &Config { range, exponent }).unwrap();
            check(processor, (&logits, &NOTHING), &softmax(&divided))?;
        }
    }

    #[test]
    fn the_surer_the_colder() {
        let temperature = |logits: &[f32]| {
            let processor = DynamicTemperature::new(1.0, &Config { range: 2.0, exponent: 1.0 }).unwrap();
            processor.temperature(logits).unwrap()
        };
        assert_eq!(temperature(&[2.0, 2.0, 2.0]), 3.0);
        assert!(temperature(&[60.0, 0.0, 0.0]) < 1e-6, "never below zero");
        assert!(temperature(&[1.0, 0.0]) < temperature(&[0.5, 0.0]));
    }

    #[test]
    fn ranges_are_checked() {
        for (range, exponent) in [(-0.1, 1.0), (f32::NAN, 1.0), (0.5, 0.0), (0.5, f32::INFINITY)] {
            assert!(DynamicTemperature::new(1.0, &Config { range, exponent }).is_err());
        }
    }
}
