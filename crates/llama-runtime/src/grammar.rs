//! Grammars in front of the worker: a vocabulary for the compiler, and its errors as a caller sees them.

use std::sync::Arc;

use llama_engine::{EndOfText, EngineError, GenerateRequest, Grammar};
use llama_models::Checkpoint;
use llama_sampling::{Constraint, GrammarCompiler, GrammarError, GrammarVocabulary, VocabularyPiece};
use llama_tokenizer::{AddSpecial, ParseSpecial, Tokenizer};

use crate::{
    LoadError,
    engine::{Inner, invalid},
    vocabulary::TextSide,
};

/// A checkpoint's vocabulary as grammars see it. The engine makes its own; this is for whoever uses
/// [`llama_sampling::GrammarCompiler`] by itself.
///
/// # Errors
/// [`LoadError::Tokenizer`] if there is no tokenizer.
pub fn grammar_vocabulary(checkpoint: &Checkpoint) -> Result<GrammarVocabulary, LoadError> {
    let text = TextSide::open(checkpoint)?;
    Ok(vocabulary(text.tokenizer, &checkpoint.config().special_tokens.eos_token_ids))
}

fn vocabulary(tokenizer: Arc<Tokenizer>, end_tokens: &[u32]) -> GrammarVocabulary {
    let piece = |id: u32| match tokenizer.token_bytes(id) {
        None => VocabularyPiece::Unused,
        Some(_) if tokenizer.is_special(id) => {
            VocabularyPiece::Special(tokenizer.token_text(id).unwrap_or_default())
        }
        Some(bytes) => VocabularyPiece::Text(bytes.to_vec()),
    };
    let num_tokens = tokenizer.vocab_size() as u32;
    let pieces = (0..num_tokens).map(piece).collect();
    let end_tokens = end_tokens.iter().copied().filter(|&id| id < num_tokens).collect();
    // A text that the tokenizer cannot take is divided by the longest match instead.
    let tokenize =
        move |text: &str| tokenizer.encode(text, AddSpecial::No, ParseSpecial::No).unwrap_or_default();
    GrammarVocabulary { pieces, end_tokens, tokenize: Arc::new(tokenize) }
}

impl Inner {
    /// The constraint that a request asks for, at the beginning of the answer.
    pub(crate) fn constraint(
        &self,
        grammar: Option<&Grammar>,
        request: &GenerateRequest,
    ) -> Result<Option<Constraint>, EngineError> {
        let Some(grammar) = grammar else {
            return Ok(None);
        };
        if request.end == EndOfText::Ignored {
            return Err(invalid(
                "grammar",
                "the end of the text cannot be ignored where a grammar decides about it",
            ));
        }
        let compiler = match self.grammars.get() {
            Some(compiler) => compiler,
            None => {
                let vocabulary = vocabulary(self.loaded.text.tokenizer.clone(), &self.loaded.end_tokens);
                let compiler =
                    GrammarCompiler::new(vocabulary, self.grammar_limits.clone()).map_err(refusal)?;
                self.grammars.get_or_init(|| compiler)
            }
        };
        compiler.compile(grammar).map(Some).map_err(refusal)
    }
}

/// An error of compiling.
fn refusal(error: GrammarError) -> EngineError {
    let at = error.position().map(|at| (at.line, at.column));
    EngineError::InvalidGrammar { reason: error.to_string(), at }
}

/// An error of a text on its way.
pub(crate) fn dead_end(error: GrammarError) -> EngineError {
    EngineError::GrammarDeadEnd(Box::new(error))
}
