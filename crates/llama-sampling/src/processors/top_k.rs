//! Top-k: only the most likely tokens.

use candle_core::Tensor;

use crate::{
    History, Processor, SamplingError,
    error::at_least_one,
    row::{keep_largest, map_row},
};

/// Keeps the `k` most likely tokens (Fan, Lewis and Dauphin, arXiv:1805.04833); of equally likely ones the first.
#[derive(Clone, Copy, Debug)]
pub struct TopK(usize);

impl TopK {
    /// # Errors
    /// [`SamplingError::OutOfRange`] for zero.
    pub fn new(k: usize) -> Result<Self, SamplingError> {
        Ok(Self(at_least_one("top_k", k)?))
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
        map_row(&logits, |row| keep_largest(row, self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    #[test]
    fn of_equal_logits_the_first_stay() {
        assert_eq!(survivors(TopK(2), &[1.0, 3.0, 1.0, 1.0]), [0, 1]);
        assert_eq!(survivors(TopK(9), &[1.0, 3.0]), [0, 1]);
        assert!(TopK::new(0).is_err());
    }

    proptest! {
        #[test]
        fn keeps_the_k_largest(logits in logits(), k in 1usize..40) {
            let probabilities = softmax(&wide(&logits));
            let mut kept = falling(&probabilities);
            kept.truncate(k);
            check(TopK(k), (&logits, &NOTHING), &only(&probabilities, &kept))?;
        }
    }
}
