//! The grammar of one running generation: what it allows next, and what it leaves no choice about.

use std::{
    mem,
    time::{Duration, Instant},
};

use llama_engine::{Citation, EngineError};
use llama_sampling::{Constraint, GrammarError, TokenMask};

use crate::{citations::CitationText, events, grammar::dead_end};

/// Whether tokens without a choice are appended without a step of the model. It does not change which tokens come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forcing {
    /// They are.
    Append,
    /// Each gets its own step: somebody wants to see its logits.
    Compute,
}

/// A grammar at work.
pub(crate) struct Guide {
    constraint: Holder,
    forcing: Forcing,
    /// Tokens that must come before an end.
    min_tokens: usize,
    citations: Option<CitationText>,
}

/// Where the constraint is.
enum Holder {
    Here(Box<Constraint>),
    /// With the mask of its next token.
    Ready(Box<Masked>),
    /// With the helper.
    Away,
}

/// A constraint and the mask of its next token.
pub(super) struct Masked {
    constraint: Constraint,
    mask: Result<TokenMask, GrammarError>,
    took: Duration,
}

impl Masked {
    /// Computes the mask.
    pub(super) fn new(mut constraint: Constraint) -> Self {
        let start = Instant::now();
        let mask = constraint.mask();
        Self { constraint, mask, took: start.elapsed() }
    }
}

impl Guide {
    pub(crate) fn new(constraint: Constraint, forcing: Forcing, min_tokens: usize) -> Self {
        Self { constraint: Holder::Here(Box::new(constraint)), forcing, min_tokens, citations: None }
    }

    /// Reports citations.
    pub(crate) fn with_citations(mut self) -> Self {
        self.citations = Some(CitationText::default());
        self
    }

    /// Gives the constraint to whoever computes its next mask, if that has not been done.
    pub(super) fn lend(&mut self) -> Option<Constraint> {
        match mem::replace(&mut self.constraint, Holder::Away) {
            Holder::Here(constraint) => Some(*constraint),
            other => {
                self.constraint = other;
                None
            }
        }
    }

    /// Takes it back.
    pub(super) fn give_back(&mut self, masked: Masked) {
        self.constraint = Holder::Ready(Box::new(masked));
    }

    /// The tokens that may come next.
    pub(super) fn mask(&mut self) -> Result<TokenMask, EngineError> {
        let masked = match mem::replace(&mut self.constraint, Holder::Away) {
            Holder::Here(constraint) => Box::new(Masked::new(*constraint)),
            Holder::Ready(masked) => masked,
            Holder::Away => {
                unreachable!("what is lent for a step comes back before its logits are looked at")
            }
        };
        let Masked { constraint, mask, took } = *masked;
        self.constraint = Holder::Here(Box::new(constraint));
        events::grammar_mask(took);
        mask.map_err(dead_end)
    }

    /// A copy of the constraint, to try tokens with.
    pub(super) fn trial(&mut self) -> Constraint {
        self.here().unshared()
    }

    /// Goes on with a token.
    pub(super) fn accept(&mut self, token: u32) -> Result<(), EngineError> {
        self.here().accept(token).map_err(dead_end)
    }

    /// The tokens that have to come next, if they are to be appended without steps of their own.
    pub(super) fn forced(&mut self) -> Vec<u32> {
        match self.forcing {
            Forcing::Append => self.here().forced(),
            Forcing::Compute => Vec::new(),
        }
    }

    /// Whether the answer ends after `num_tokens` because nothing can follow.
    pub(super) fn is_complete(&mut self, num_tokens: usize) -> Result<bool, EngineError> {
        match self.here().is_complete() {
            true if num_tokens < self.min_tokens => Err(EngineError::NoCandidate),
            is_complete => Ok(is_complete),
        }
    }

    /// Takes text of the answer; returns what the caller shall see, and what it cites.
    pub(super) fn text(&mut self, text: String) -> (String, Vec<Citation>) {
        match &mut self.citations {
            Some(citations) => citations.push(&text),
            None => (text, Vec::new()),
        }
    }

    fn here(&mut self) -> &mut Constraint {
        let masked = mem::replace(&mut self.constraint, Holder::Away);
        self.constraint = match masked {
            Holder::Ready(masked) => Holder::Here(Box::new(masked.constraint)),
            other => other,
        };
        match &mut self.constraint {
            Holder::Here(constraint) => constraint,
            Holder::Ready(_) | Holder::Away => unreachable!("nobody else has it between steps"),
        }
    }
}
