//! Which tokens may come next.

use candle_core::Tensor;
use llguidance::toktrie::SimpleVob;

use crate::{SamplingError, row::map_row};

/// One bit for each token of the vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenMask {
    allowed: SimpleVob,
    detour: Option<Detour>,
}

/// What is ruled out only until something else has come, and the tokens that begin it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Detour {
    pub(super) postponed: SimpleVob,
    pub(super) through: SimpleVob,
}

impl TokenMask {
    pub(super) fn new(allowed: SimpleVob, detour: Option<Detour>) -> Self {
        Self { allowed, detour }
    }

    /// Whether a token may come next.
    pub fn is_allowed(&self, token: u32) -> bool {
        (token as usize) < self.allowed.len() && self.allowed.is_allowed(token)
    }

    /// Number of tokens that may come next.
    pub fn num_allowed(&self) -> usize {
        self.allowed.num_set()
    }

    /// The tokens that may come next, rising.
    pub fn tokens(&self) -> impl Iterator<Item = u32> + '_ {
        self.allowed.iter()
    }

    /// Logits with all other tokens ruled out. Where a citation is still lacking, the way to what needs it leads through the
    /// citation: its likeliest opening is at least as likely as the likeliest token that is ruled out for the lack.
    ///
    /// # Shapes
    /// `logits`: `[v]` in f32; result: the same.
    ///
    /// # Errors
    /// Candle's, and [`SamplingError::NotFinite`] for broken logits, which a mask would hide.
    pub fn masked(&self, logits: &Tensor) -> Result<Tensor, SamplingError> {
        map_row(logits, |row| self.apply(row))
    }

    /// As [`TokenMask::masked`], in place: the logits of the others become minus infinity, and those beyond the vocabulary too.
    pub fn apply(&self, logits: &mut [f32]) {
        let raised = self.detour.as_ref().and_then(|detour| detour.raised(logits));
        self.rule_out(logits);
        if let Some((opening, logit)) = raised {
            logits[opening] = logit;
        }
    }

    fn rule_out(&self, logits: &mut [f32]) {
        for (word, logits) in self.allowed.as_slice().iter().zip(logits.chunks_mut(32)) {
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
        if let Some(beyond) = logits.get_mut(self.allowed.len()..) {
            beyond.fill(f32::NEG_INFINITY);
        }
    }
}

impl Detour {
    /// The likeliest token to go through, and the logit that it gets; `None` where it is likelier than all that is postponed.
    fn raised(&self, logits: &[f32]) -> Option<(usize, f32)> {
        let (_, wanted) = likeliest(&self.postponed, logits)?;
        let (opening, logit) = likeliest(&self.through, logits)?;
        (wanted > logit).then_some((opening, wanted))
    }
}

/// The first of the largest logits of some tokens.
fn likeliest(tokens: &SimpleVob, logits: &[f32]) -> Option<(usize, f32)> {
    let known = tokens.iter().filter_map(|token| Some((token as usize, *logits.get(token as usize)?)));
    known.reduce(|best, other| if other.1 > best.1 { other } else { best })
}
