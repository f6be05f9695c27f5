//! Temperature: flatter or sharper.

use candle_core::Tensor;

use crate::{
    History, Processor, SamplingError,
    error::in_range,
    row::{keep_only, map_row, maximum, most_likely},
};

/// Divides all logits (Ackley, Hinton and Sejnowski, 1985). Above 1 flattens the distribution, below 1 sharpens it; 0
/// leaves the first of the most likely tokens.
#[derive(Clone, Copy, Debug)]
pub struct Temperature(f32);

impl Temperature {
    /// # Errors
    /// [`SamplingError::OutOfRange`] unless finite and at least 0.
    pub fn new(temperature: f32) -> Result<Self, SamplingError> {
        let range = (temperature.is_finite() && temperature >= 0.0, "a finite number of at least 0");
        Ok(Self(in_range("temperature", temperature, range)?))
    }
}

impl Processor for Temperature {
    fn name(&self) -> &'static str {
        "temperature"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        map_row(&logits, |row| divide(row, self.0))
    }
}

/// Divides a row by a temperature of at least 0.
pub(super) fn divide(row: &mut [f32], temperature: f32) {
    if temperature == 0.0 {
        let best = most_likely(row).map(|(token, _)| token);
        return keep_only(row, best);
    }
    let maximum = maximum(row);
    // A temperature that is barely positive would turn the largest logits into infinities.
    let shift = if (maximum / temperature).is_finite() { 0.0 } else { maximum };
    for logit in row {
        // What overflows all the same becomes improbable, but is not ruled out.
        let divided = ((*logit - shift) / temperature).max(f32::MIN);
        *logit = if *logit == f32::NEG_INFINITY { *logit } else { divided };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    proptest! {
        #[test]
        fn divides(logits in logits(), temperature in 0.1f32..5.0) {
            let divided: Vec<f64> = wide(&logits).iter().map(|logit| logit / f64::from(temperature)).collect();
            check(Temperature(temperature), (&logits, &NOTHING), &softmax(&divided))?;
        }

        #[test]
        fn at_zero_the_first_of_the_largest_is_certain(logits in logits()) {
            let probabilities = softmax(&wide(&logits));
            let best = falling(&probabilities)[0];
            check(Temperature(0.0), (&logits, &NOTHING), &only(&probabilities, &[best]))?;
        }
    }

    #[test]
    fn only_finite_non_negative_values_are_accepted() {
        for temperature in [-0.1, f32::NAN, f32::INFINITY] {
            assert!(Temperature::new(temperature).is_err());
        }
        assert!(Temperature::new(0.0).is_ok());
    }

    #[test]
    fn tiny_temperatures_stay_finite() {
        let row = processed(&mut Temperature(1e-38), &[1.0, 80.0, 3.0, f32::NEG_INFINITY], &NOTHING);
        assert_eq!(row, [f32::MIN, 0.0, f32::MIN, f32::NEG_INFINITY]);
        let row = processed(&mut Temperature(1e-38), &[-80.0, 0.0], &NOTHING);
        assert_eq!(row, [f32::MIN, 0.0]);
    }
}
