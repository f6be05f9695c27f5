//! Minimum length: no end before it.

use candle_core::Tensor;

use crate::{History, Processor, SamplingError, row};

/// Rules out what would end the answer until it has so many tokens.
#[derive(Clone, Debug)]
pub struct MinTokens {
    min_tokens: usize,
    end_tokens: Vec<u32>,
}

impl MinTokens {
    /// None of `end_tokens` among the first `min_tokens` tokens of an answer.
    pub fn new(min_tokens: usize, end_tokens: Vec<u32>) -> Self {
        Self { min_tokens, end_tokens }
    }
}

impl Processor for MinTokens {
    fn name(&self) -> &'static str {
        "min_tokens"
    }

    fn process(&mut self, logits: Tensor, history: &History<'_>) -> Result<Tensor, SamplingError> {
        if history.answer().len() >= self.min_tokens {
            return Ok(logits);
        }
        row::map_row(&logits, |row| row::rule_out(row, self.end_tokens.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    proptest! {
        #[test]
        fn ends_come_late_enough(logits in logits(), min_tokens in 0usize..6, end_tokens in prop::collection::vec(0u32..60, 0..9)) {
            let probabilities = softmax(&wide(&logits));
            let mut kept = falling(&probabilities);
            kept.retain(|&token| !end_tokens.contains(&(token as u32)));
            prop_assume!(!kept.is_empty());
            let tokens = [0; 9];
            for len in 0..6 {
                let history = History::new(&tokens[..3 + len], 3);
                let expected = if len < min_tokens { only(&probabilities, &kept) } else { probabilities.clone() };
                check(MinTokens::new(min_tokens, end_tokens.clone()), (&logits, &history), &expected)?;
            }
        }
    }
}
