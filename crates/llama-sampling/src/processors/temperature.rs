//! Temperature: flatter or sharper.

use candle_core::Tensor;

use crate::{History, Processor, SamplingError};

/// Divides all logits (Ackley, Hinton and Sejnowski, 1985). Above 1 flattens the distribution, below 1 sharpens it.
#[derive(Clone, Copy, Debug)]
pub struct Temperature(f32);

impl Temperature {
    /// # Errors
    /// [`SamplingError::OutOfRange`] unless finite and at least 0.
    pub fn new(temperature: f32) -> Result<Self, SamplingError> {
        if temperature.is_finite() && temperature >= 0.0 {
            return Ok(Self(temperature));
        }
        Err(SamplingError::OutOfRange {
            parameter: "temperature",
            found: temperature.to_string(),
            range: "a finite number of at least 0",
        })
    }
}

impl Processor for Temperature {
    fn name(&self) -> &'static str {
        "temperature"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        // A temperature that is barely positive would turn the largest logits into infinities.
        let maximum = logits.max_keepdim(0)?;
        Ok((logits.broadcast_sub(&maximum)? / f64::from(self.0))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_non_negative_values_are_accepted() {
        for temperature in [-0.1, f32::NAN, f32::INFINITY] {
            assert!(Temperature::new(temperature).is_err());
        }
        assert!(Temperature::new(0.0).is_ok());
    }

    #[test]
    fn tiny_temperatures_stay_finite() {
        let logits = Tensor::new(&[1f32, 80.0, 3.0], &candle_core::Device::Cpu).unwrap();
        let row =
            Temperature(1e-38).process(logits, &History::new(&[], 0)).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(row[1], 0.0);
        assert!(row[0] < -1e30);
    }
}
