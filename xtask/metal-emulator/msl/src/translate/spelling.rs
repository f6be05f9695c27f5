//! Small differences between the languages that need no context.

use crate::token::{Token, next_solid, previous_solid};

/// Adapts what C++ spells differently.
pub(super) fn adapt<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut out: Vec<Token<'a>> = Vec::with_capacity(tokens.len());
    for (i, token) in tokens.iter().enumerate() {
        let before = previous_solid(&out, out.len());
        // Dropping an address space can bring two together.
        if token.is("const") && before.is_some_and(|k| out[k].is("const")) {
            continue;
        }
        // The runtime's vectors have no constant expressions.
        if token.is("constexpr") && declares_vector(tokens, i) {
            out.push(Token::word("const"));
            continue;
        }
        if token.is("static_cast") {
            out.push(Token::made("::metal::cast_"));
            continue;
        }
        out.push(token.clone());
    }
    out
}

fn declares_vector(tokens: &[Token<'_>], i: usize) -> bool {
    const SCALARS: &[&str] = &["int", "uint", "float", "half", "short", "ushort", "long", "ulong", "bfloat"];
    let next = next_solid(tokens, i);
    let next = match next {
        Some(k) if tokens[k].is("const") => next_solid(tokens, k),
        other => other,
    };
    let Some(name) = next.map(|k| tokens[k].text.as_ref()) else { return false };
    ["2", "3", "4"].iter().any(|size| name.strip_suffix(size).is_some_and(|scalar| SCALARS.contains(&scalar)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{join, tokenize};

    fn check(source: &str, expected: &str) {
        assert_eq!(join(&adapt(&tokenize(source))), expected);
    }

    #[test]
    fn spellings_are_adapted() {
        check("const const int a;", "const  int a;");
        check("constexpr float4 a(0);", "const float4 a(0);");
        check("constexpr float a = 0;", "constexpr float a = 0;");
        check("static_cast<half>(x)", "::metal::cast_<half>(x)");
    }
}
