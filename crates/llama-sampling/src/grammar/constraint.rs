//! A grammar and the text read so far.

use std::sync::Arc;

use llguidance::Matcher;

use super::{GrammarError, TokenMask, citations::Lack, refusal};

/// Where one sequence stands in its grammar. Clones go on independently, as speculation needs.
#[derive(Clone)]
pub struct Constraint {
    matcher: Matcher,
    /// Of a grammar that requires citations.
    lack: Option<Arc<Lack>>,
}

impl Constraint {
    pub(super) fn new(matcher: Matcher, lack: Option<Arc<Lack>>) -> Self {
        Self { matcher, lack }
    }

    /// A clone that shares no cache, so that what it costs depends on its own text alone, and what it tries costs the
    /// original nothing.
    pub fn unshared(&self) -> Self {
        Self { matcher: self.matcher.deep_clone(), lack: self.lack.clone() }
    }

    /// The tokens that may come next; end tokens are among them exactly where the grammar may end. Where the bytes that
    /// come next are certain, only the first token of their canonical tokenisation is allowed.
    ///
    /// # Errors
    /// [`GrammarError::NoToken`] if there is none, or if finding out exceeds a limit.
    pub fn mask(&mut self) -> Result<TokenMask, GrammarError> {
        let bits = self.matcher.compute_mask_or_eos();
        let bits = bits.map_err(|error| GrammarError::NoToken { reason: refusal(&error) })?;
        match bits.is_zero() {
            true => Err(GrammarError::NoToken { reason: "the vocabulary has no end token".to_owned() }),
            false => {
                let detour = self.lack.as_ref().and_then(|lack| lack.detour(&bits));
                Ok(TokenMask::new(bits, detour))
            }
        }
    }

    /// Goes on with a token.
    ///
    /// # Errors
    /// [`GrammarError::Rejected`] if the grammar does not allow it here; then nothing has changed.
    pub fn accept(&mut self, token: u32) -> Result<(), GrammarError> {
        match self.matcher.try_consume_tokens(&[token]) {
            Ok(1) => Ok(()),
            Ok(_) => Err(GrammarError::Rejected { token }),
            Err(error) => Err(GrammarError::NoToken { reason: refusal(&error) }),
        }
    }

    /// The tokens that must come next, in the tokenizer's own division of their text; none where there is a choice. A
    /// last token that what comes after could merge with is left for later.
    pub fn forced(&mut self) -> Vec<u32> {
        if self.is_complete() { Vec::new() } else { self.matcher.compute_ff_tokens() }
    }

    /// Whether the text may end here.
    pub fn may_end(&mut self) -> bool {
        self.matcher.is_accepting().unwrap_or(false)
    }

    /// Whether the text must end here: the grammar allows nothing more.
    pub fn is_complete(&self) -> bool {
        self.matcher.stop_reason().is_ok() && self.matcher.is_stopped()
    }

    /// Goes back by so many accepted tokens.
    ///
    /// # Errors
    /// [`GrammarError::Refused`] if there are not so many, or the grammar has parts that cannot go back (`stop` and
    /// `max_tokens` in Lark).
    pub fn rollback(&mut self, num_tokens: usize) -> Result<(), GrammarError> {
        self.matcher.rollback(num_tokens).map_err(|error| GrammarError::Refused { reason: refusal(&error) })
    }
}

impl std::fmt::Debug for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Constraint").field("is_complete", &self.is_complete()).finish_non_exhaustive()
    }
}
