//! Top-k: only the most likely tokens.

use candle_core::Tensor;

use crate::{History, Processor, SamplingError, processor::map_row};

/// Keeps the `k` most likely tokens (Fan, Lewis and Dauphin, arXiv:1805.04833); of equally likely ones the first.
#[derive(Clone, Copy, Debug)]
pub struct TopK(usize);

impl TopK {
    /// # Errors
    /// [`SamplingError::OutOfRange`] for zero.
    pub fn new(k: usize) -> Result<Self, SamplingError> {
        match k {
            0 => Err(SamplingError::OutOfRange {
                parameter: "top_k",
                found: k.to_string(),
                range: "at least 1",
            }),
            _ => Ok(Self(k)),
        }
    }
}

impl Processor for TopK {
    fn name(&self) -> &'static str {
        "top_k"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        if self.0 >= logits.dims1()? {
            return Ok(logits);
        }
        map_row(&logits, |row| {
            let mut sorted = row.to_vec();
            let (larger, &mut last, _) = sorted.select_nth_unstable_by(self.0 - 1, |a, b| b.total_cmp(a));
            let num_larger = larger.iter().filter(|&&logit| logit > last).count();
            let mut num_equal = self.0 - num_larger;
            for logit in row {
                if *logit == last && num_equal > 0 {
                    num_equal -= 1;
                } else if *logit <= last {
                    *logit = f32::NEG_INFINITY;
                }
            }
        })
    }
}

/// The tokens that a processor leaves.
#[cfg(test)]
pub(super) fn survivors(mut processor: impl Processor, logits: &[f32]) -> Vec<usize> {
    let logits = Tensor::new(logits, &candle_core::Device::Cpu).unwrap();
    let row = processor.process(logits, &History::new(&[], 0)).unwrap().to_vec1::<f32>().unwrap();
    (0..row.len()).filter(|&token| row[token] > f32::NEG_INFINITY).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_equal_logits_the_first_stay() {
        assert_eq!(survivors(TopK(2), &[1.0, 3.0, 1.0, 1.0]), [0, 1]);
        assert_eq!(survivors(TopK(9), &[1.0, 3.0]), [0, 1]);
        assert!(TopK::new(0).is_err());
    }

    proptest! {
        #[test]
        fn keeps_the_k_largest(logits in prop::collection::vec(-4i8..4, 1..40), k in 1usize..40) {
            let logits: Vec<f32> = logits.into_iter().map(f32::from).collect();
            let mut order: Vec<usize> = (0..logits.len()).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a])); // stable: the first of equals
            order.truncate(k);
            order.sort_unstable();
            prop_assert_eq!(survivors(TopK(k), &logits), order);
        }
    }
}
