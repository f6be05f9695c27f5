//! Attributes: `[[kernel]]` becomes the keyword, and what no other pass has read is dropped.

use crate::token::{Token, closer, line_ends, split_at_commas};

/// Writes `[[kernel]]`, alone or among others, as the keyword `kernel`.
pub(super) fn mark_kernels<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    replace(tokens, |attribute| names(attribute, "kernel").then(|| Token::word("kernel")))
}

/// Drops every attribute.
pub(super) fn remove<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    replace(tokens, |_| Some(Token::space(" ")))
}

/// Replaces those attributes for which `by` has something.
fn replace<'a>(tokens: &[Token<'a>], by: impl Fn(&[Token<'a>]) -> Option<Token<'a>>) -> Vec<Token<'a>> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut i = 0;
    while i < tokens.len() {
        if tokens[i].is("[[") {
            let end = closer(tokens, i);
            match by(&tokens[i + 1..end]) {
                Some(token) => out.extend([token, line_ends(&tokens[i..=end])]),
                None => out.extend_from_slice(&tokens[i..=end]),
            }
            i = end + 1;
        } else {
            out.push(tokens[i].clone());
            i += 1;
        }
    }
    out
}

/// Whether an attribute's content has one of this name.
pub(super) fn names(attribute: &[Token<'_>], name: &str) -> bool {
    split_at_commas(attribute)
        .iter()
        .any(|part| part.iter().find(|token| !token.is_space()).is_some_and(|first| first.is(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{join, join_solid, tokenize};

    #[test]
    fn kernels_become_keywords_and_the_rest_goes() {
        let tokens =
            tokenize("[[kernel, max_total_threads_per_threadgroup(64)]] void f(int a [[buffer(0)]])");
        let marked = mark_kernels(&tokens);
        assert_eq!(join_solid(&marked), "kernelvoidf(inta[[buffer(0)]])");
        assert_eq!(join_solid(&remove(&marked)), "kernelvoidf(inta)");
    }

    #[test]
    fn line_ends_inside_stay() {
        assert_eq!(join(&remove(&tokenize("a [[buffer(\n0)]] b"))).matches('\n').count(), 1);
    }
}
