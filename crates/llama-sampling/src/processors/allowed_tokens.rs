//! Allowed tokens: nothing else.

use candle_core::Tensor;

use crate::{History, Processor, SamplingError, error::at_least_one, row};

/// Rules out all tokens but these.
#[derive(Clone, Debug)]
pub struct AllowedTokens(Vec<u32>);

impl AllowedTokens {
    /// # Errors
    /// [`SamplingError::OutOfRange`] if there are none.
    pub fn new(tokens: Vec<u32>) -> Result<Self, SamplingError> {
        at_least_one("rules.allowed", tokens.len())?;
        Ok(Self(tokens))
    }
}

impl Processor for AllowedTokens {
    fn name(&self) -> &'static str {
        "allowed_tokens"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        row::map_row(&logits, |row| row::keep_only(row, self.0.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    proptest! {
        #[test]
        fn nothing_else_stays(logits in logits(), allowed in prop::collection::vec(0u32..60, 1..20)) {
            let probabilities = softmax(&wide(&logits));
            let mut kept = falling(&probabilities);
            kept.retain(|&token| allowed.contains(&(token as u32)));
            prop_assume!(!kept.is_empty());
            check(AllowedTokens::new(allowed).unwrap(), (&logits, &NOTHING), &only(&probabilities, &kept))?;
        }
    }

    #[test]
    fn one_must_be_allowed() {
        assert!(AllowedTokens::new(Vec::new()).is_err());
    }
}
