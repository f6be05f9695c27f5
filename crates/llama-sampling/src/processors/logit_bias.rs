//! Logit bias: some tokens more or less likely.

use candle_core::Tensor;

use crate::{History, Processor, SamplingError, error::in_range, row::map_row};

/// Adds to the logits of single tokens (as in OpenAI's API): each from -100 to 100, which decides against any model.
#[derive(Clone, Debug)]
pub struct LogitBias(Vec<(u32, f32)>);

impl LogitBias {
    /// # Errors
    /// [`SamplingError::OutOfRange`]
    pub fn new(bias: Vec<(u32, f32)>) -> Result<Self, SamplingError> {
        for &(_, value) in &bias {
            in_range("rules.bias", value, ((-100.0..=100.0).contains(&value), "from -100 to 100"))?;
        }
        Ok(Self(bias))
    }
}

impl Processor for LogitBias {
    fn name(&self) -> &'static str {
        "logit_bias"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        map_row(&logits, |row| {
            for &(token, bias) in &self.0 {
                if let Some(logit) = row.get_mut(token as usize) {
                    *logit += bias;
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
        fn adds(logits in logits(), bias in prop::collection::vec((0u32..60, -5f32..5.0), 0..9)) {
            let mut expected = wide(&logits);
            for &(token, bias) in &bias {
                expected.get_mut(token as usize).into_iter().for_each(|logit| *logit += f64::from(bias));
            }
            check(LogitBias::new(bias).unwrap(), (&logits, &NOTHING), &softmax(&expected))?;
        }
    }

    #[test]
    fn ranges_are_checked() {
        assert!([-101.0, 100.5, f32::NAN].iter().all(|&bias| LogitBias::new(vec![(1, bias)]).is_err()));
    }
}
