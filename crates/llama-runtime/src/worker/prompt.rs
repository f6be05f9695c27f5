//! A prompt's log-probabilities, collected row by row while it is computed.

use candle_core::Tensor;
use llama_engine::{EngineError, PromptEvent, PromptToken, TokenLogprob};
use llama_sampling::logprobs;

use crate::sampling::failure;

/// What the model thinks of each token of a prompt. Rows may come again, after a preemption: they say the same.
pub(super) struct PromptScores {
    /// Position of the prompt's first token, after the context.
    start: usize,
    num_alternatives: usize,
    tokens: Vec<PromptToken>,
}

impl PromptScores {
    /// For the tokens of a sequence from position `start` on.
    pub(super) fn new(tokens: &[u32], start: usize, num_alternatives: usize) -> Self {
        let prompt = tokens[start..].iter().map(|&id| PromptToken { id, logprobs: None });
        Self { start, num_alternatives, tokens: prompt.collect() }
    }

    /// Takes the logits after the positions from `first_position` on; each is about the next token, if that belongs to
    /// the prompt.
    ///
    /// # Shapes
    /// `logits`: `[t, v]`
    pub(super) fn add(&mut self, logits: &Tensor, first_position: usize) -> Result<(), EngineError> {
        let num_rows = logits.dim(0).map_err(model)?;
        for (row_idx, next) in (0..num_rows).zip(first_position + 1..) {
            let token = next.checked_sub(self.start).and_then(|i| self.tokens.get_mut(i));
            if let Some(token) = token {
                let row = logits.get(row_idx).map_err(model)?; // [v]
                token.logprobs = Some(token_logprobs(&row, token.id, self.num_alternatives)?);
            }
        }
        Ok(())
    }

    /// All of them.
    pub(super) fn finish(self) -> PromptEvent {
        PromptEvent { tokens: self.tokens }
    }
}

/// A token's log-probability, and those of the most likely ones, as the caller sees them.
///
/// # Shapes
/// `logits`: `[v]`
pub(super) fn token_logprobs(
    logits: &Tensor,
    token: u32,
    num_alternatives: usize,
) -> Result<Vec<TokenLogprob>, EngineError> {
    let entries = logprobs(logits, token, num_alternatives).map_err(failure)?;
    Ok(entries.iter().map(|entry| TokenLogprob { id: entry.token, logprob: entry.logprob }).collect())
}

fn model(source: candle_core::Error) -> EngineError {
    EngineError::Model(Box::new(source))
}
