//! What a grammar can be written in.

use super::CitationRules;

/// A grammar, as plain data; [`crate::GrammarCompiler`] checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrammarSource {
    /// llama.cpp's notation, starting at the rule `root`.
    Gbnf(String),
    /// A JSON schema (draft 2020-12, or the one that `$schema` names).
    JsonSchema(String),
    /// A regular expression for the whole text, in the syntax of Rust's `regex`.
    Regex(String),
    /// llguidance's dialect of Lark, starting at `start`.
    Lark(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// Free text that cites.
    Citations(CitationRules),
}

impl GrammarSource {
    /// Bytes of what was written.
    pub(super) fn num_bytes(&self) -> usize {
        match self {
            Self::Gbnf(text) | Self::JsonSchema(text) | Self::Regex(text) | Self::Lark(text) => text.len(),
            Self::Choice(texts) => texts.iter().map(String::len).sum(),
            Self::Citations(rules) => rules.ids.len() * size_of::<u32>(),
        }
    }
}
