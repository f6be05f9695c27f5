//! Function constants are looked up when they are used, since one library serves all their values.
//!
//! A `constant` that is computed from them becomes an object that computes it on use.

use std::collections::HashSet;

use super::attributes;
use crate::token::{Token, closer, join, line_ends, statement_start};

/// Declares function constants, and what is computed from them, as objects that look them up.
pub(super) fn declare<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut out: Vec<Token<'a>> = Vec::with_capacity(tokens.len());
    let mut known = HashSet::new();
    let mut i = 0;
    while i < tokens.len() {
        if tokens[i].is("[[") {
            let end = closer(tokens, i);
            let attribute = &tokens[i + 1..end];
            if attributes::names(attribute, "function_constant") {
                let start = statement_start(&out, out.len());
                let declaration = out.split_off(start);
                known.extend(name_of(&declaration));
                out.extend(looked_up(&declaration, attribute));
                i = end + 1;
                continue;
            }
        }
        if tokens[i].is(";") {
            let start = statement_start(&out, out.len());
            if let Some(equals) = computed_from(&out[start..], &known) {
                let statement = out.split_off(start);
                known.extend(name_of(&statement[..equals]));
                out.extend(computed(&statement, equals));
            }
        }
        out.push(tokens[i].clone());
        i += 1;
    }
    out
}

/// The last word of a declaration.
fn name_of(declaration: &[Token<'_>]) -> Option<String> {
    declaration.iter().rev().find(|token| token.is_word()).map(|token| token.text.to_string())
}

/// What stands between the qualifiers and the name.
fn type_of(declaration: &[Token<'_>]) -> String {
    let is_qualifier = |token: &Token<'_>| token.is_any(&["const", "static", "constant", "constexpr"]);
    let mut words: Vec<&str> = declaration
        .iter()
        .filter(|token| !token.is_space() && !is_qualifier(token))
        .map(|token| token.text.as_ref())
        .collect();
    words.pop();
    words.join(" ")
}

fn looked_up<'a>(declaration: &[Token<'a>], attribute: &[Token<'a>]) -> [Token<'a>; 2] {
    let index =
        attribute.iter().skip_while(|token| !token.is("(")).skip(1).take_while(|token| !token.is(")"));
    let index: String = index.map(|token| token.text.as_ref()).collect();
    let name = name_of(declaration).unwrap_or_default();
    let text = format!("static const ::msl::function_constant<{}, {index}> {name}{{}}", type_of(declaration));
    [line_ends(declaration), Token::made(text)]
}

/// Where the value of a `constant` begins that names a function constant.
fn computed_from(statement: &[Token<'_>], known: &HashSet<String>) -> Option<usize> {
    let equals = statement.iter().position(|token| token.is("="))?;
    let is_constant = statement[..equals].iter().any(|token| token.is("constant"));
    let names_known = statement[equals..].iter().any(|token| known.contains(token.text.as_ref()));
    (is_constant && names_known).then_some(equals)
}

fn computed<'a>(statement: &[Token<'a>], equals: usize) -> [Token<'a>; 2] {
    let declaration = &statement[..equals];
    let text = format!(
        "static const struct {{ operator {}() const {{ return {}; }} }} {}{{}}",
        type_of(declaration),
        join(&statement[equals + 1..]).replace('\n', " ").trim(),
        name_of(declaration).unwrap_or_default()
    );
    [line_ends(statement), Token::made(text)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tokenize;

    #[test]
    fn constants_are_looked_up_on_use() {
        let tokens = tokenize(
            "constant bool a [[function_constant(7)]];\nconstant int b = a ? 1 : 2;\nconstant int c = 3;",
        );
        assert_eq!(
            join(&declare(&tokens)),
            "static const ::msl::function_constant<bool, 7> a{};\nstatic const struct { operator int() const { return a ? 1 : 2; } } b{};\nconstant int c = 3;"
        );
    }
}
