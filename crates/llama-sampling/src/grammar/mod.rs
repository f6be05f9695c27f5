//! Grammars: which tokens may come next.
//!
//! [`GrammarCompiler`] is made once for a vocabulary and turns a [`llama_engine::Grammar`] into a [`Constraint`], which says for
//! each token which ones may follow. The work of a mask is llguidance's; what is here is the front end for llama.cpp's
//! notation, the check that a JSON schema is one that can be honoured, citations, and that nothing fails open.

mod citations;
mod compiler;
mod constraint;
mod error;
mod gbnf;
mod json_schema;
mod limits;
mod mask;
mod tool_calls;
mod vocabulary;

pub use compiler::GrammarCompiler;
pub use constraint::Constraint;
pub use error::{GrammarError, Position};
pub use limits::GrammarLimits;
pub use mask::TokenMask;
pub use vocabulary::{GrammarVocabulary, Tokenize, VocabularyPiece};

use compiler::refusal;
