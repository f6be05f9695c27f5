//! llama.cpp's grammar notation, compiled for the constraint engine.
//!
//! A GBNF grammar is written over characters; the engine has a lexer, which always takes the longest match, and a parser above it. [`lower`]
//! therefore cuts a grammar into lexemes that are as long as they can be without the longest match ever losing a text, which [`conflicts`]
//! checks, and at worst into single characters. So the language is exactly the one written, and regular parts are fast.

mod automaton;
mod byte_set;
mod char_set;
mod check;
mod conflicts;
mod lark;
mod lower;
mod parse;
mod reader;
mod relations;
mod syntax;

use super::{GrammarError, GrammarLimits, vocabulary::TokenNames};
use syntax::{Expr, Grammar, Rule};

/// The Lark source of a GBNF grammar.
///
/// # Errors
/// [`GrammarError`] with line and column for what is wrong in the source.
pub(super) fn to_lark(
    source: &str,
    limits: &GrammarLimits,
    tokens: &dyn TokenNames,
) -> Result<String, GrammarError> {
    let grammar = parse::parse(source, limits, tokens)?;
    check::check(&grammar)?;
    compile(&grammar, limits, tokens)
}

/// The Lark source of a choice between texts.
///
/// # Errors
/// If there is no text.
pub(super) fn choice_to_lark(texts: &[String], tokens: &dyn TokenNames) -> Result<String, GrammarError> {
    if texts.is_empty() {
        return Err(GrammarError::Refused { reason: "a choice between no texts".to_owned() });
    }
    let body = Expr::Alternatives(texts.iter().cloned().map(Expr::Text).collect());
    let lowered = lower::lower(&Grammar { rules: vec![Rule::unnamed(body)], root: 0 });
    Ok(lark::write(&lowered, tokens))
}

fn compile(
    grammar: &Grammar,
    limits: &GrammarLimits,
    tokens: &dyn TokenNames,
) -> Result<String, GrammarError> {
    let mut lowered = lower::lower(grammar);
    conflicts::resolve(&mut lowered, limits, tokens)?;
    Ok(lark::write(&lowered, tokens))
}
