//! Which tokens may come next.

use candle_core::Tensor;
use llguidance::toktrie::SimpleVob;

use crate::{SamplingError, row::map_row};

/// One bit for each token of the vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenMask(SimpleVob);

impl TokenMask {
    pub(super) fn new(bits: SimpleVob) -> Self {
        Self(bits)
    }

    /// Whether a token may come next.
    pub fn is_allowed(&self, token: u32) -> bool {
        (token as usize) < self.0.len() && self.0.is_allowed(token)
    }

    /// Number of tokens that may come next.
    pub fn num_allowed(&self) -> usize {
        self.0.num_set()
    }

    /// The tokens that may come next, rising.
    pub fn tokens(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter()
    }

    /// Logits with all other tokens ruled out.
    ///
    /// # Shapes
    /// `logits`: `[v]` in f32; result: the same.
    ///
    /// # Errors
    /// Candle's, and [`SamplingError::NotFinite`] for broken logits, which a mask would hide.
    pub fn masked(&self, logits: &Tensor) -> Result<Tensor, SamplingError> {
        map_row(logits, |row| self.apply(row))
    }

    /// Rules out all others: their logits become minus infinity, and those beyond the vocabulary too.
    pub fn apply(&self, logits: &mut [f32]) {
        for (word, logits) in self.0.as_slice().iter().zip(logits.chunks_mut(32)) {
            match *word {
                0 => logits.fill(f32::NEG_INFINITY),
                u32::MAX => {}
                word => {
                    for (bit, logit) in logits.iter_mut().enumerate() {
                        if word >> bit & 1 == 0 {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                }
            }
        }
        if let Some(beyond) = logits.get_mut(self.0.len()..) {
            beyond.fill(f32::NEG_INFINITY);
        }
    }
}
