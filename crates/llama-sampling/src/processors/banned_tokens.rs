//! Banned tokens: never.

use candle_core::Tensor;

use crate::{History, Processor, SamplingError, row};

/// Rules out these tokens.
#[derive(Clone, Debug)]
pub struct BannedTokens(Vec<u32>);

impl BannedTokens {
    /// Never these.
    pub fn new(tokens: Vec<u32>) -> Self {
        Self(tokens)
    }
}

impl Processor for BannedTokens {
    fn name(&self) -> &'static str {
        "banned_tokens"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        row::map_row(&logits, |row| row::rule_out(row, self.0.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    proptest! {
        #[test]
        fn none_of_them_stays(logits in logits(), banned in prop::collection::vec(0u32..60, 0..20)) {
            let probabilities = softmax(&wide(&logits));
            let mut kept = falling(&probabilities);
            kept.retain(|&token| !banned.contains(&(token as u32)));
            prop_assume!(!kept.is_empty());
            check(BannedTokens::new(banned), (&logits, &NOTHING), &only(&probabilities, &kept))?;
        }
    }
}
