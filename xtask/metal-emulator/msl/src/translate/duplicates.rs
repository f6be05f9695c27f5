//! Definitions that differed in address spaces alone are equal now, and only the first may stay.

use std::collections::HashSet;

use crate::token::{Token, join_solid, line_ends, nesting, previous_solid};

/// Drops definitions at namespace scope whose head has been seen.
pub(super) fn remove<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut seen = HashSet::new();
    let mut start = 0;
    while start < tokens.len() {
        let end = segment_end(tokens, start);
        let segment = &tokens[start..end];
        let is_repeated = head(segment).is_some_and(|head| !seen.insert(head));
        if is_repeated {
            out.push(line_ends(segment));
        } else {
            out.extend_from_slice(segment);
        }
        start = end;
    }
    out
}

/// Behind the `;` or the body that ends the declaration at `start`.
fn segment_end(tokens: &[Token<'_>], start: usize) -> usize {
    let mut depth = 0;
    let mut body = None;
    for (i, token) in tokens.iter().enumerate().skip(start) {
        if token.is_directive() && tokens[start..i].iter().all(Token::is_space) {
            return i + 1;
        }
        if token.is("{") && depth == 0 {
            body.get_or_insert(i);
        }
        depth += nesting(token);
        let ends_body = token.is("}") && body.is_some_and(|body| is_complete(&tokens[start..body]));
        if depth == 0 && (token.is(";") || ends_body) {
            return i + 1;
        }
    }
    tokens.len()
}

/// Whether a declaration is over with its body: a function's is, a type's wants a `;`.
fn is_complete(head: &[Token<'_>]) -> bool {
    let is_function = previous_solid(head, head.len()).is_some_and(|k| head[k].is_any(&[")", "const"]));
    let first = head.iter().find(|token| !token.is_space());
    is_function || first.is_some_and(|token| token.is_any(&["namespace", "extern"]))
}

/// What identifies a definition, if it is one that could stand twice.
fn head(segment: &[Token<'_>]) -> Option<String> {
    let body = segment.iter().position(|token| token.is("{"))?;
    let head = &segment[..body];
    let first = head.iter().find(|token| !token.is_space())?;
    let can_repeat = head.iter().any(|token| token.is_any(&["(", "struct", "class"]));
    let is_other =
        first.is_any(&["typedef", "namespace", "extern"]) || head.iter().any(|token| token.is("="));
    let is_function = previous_solid(head, head.len()).is_some_and(|k| head[k].is_any(&[")", "const"]));
    (can_repeat && (is_function || !is_other)).then(|| join_solid(head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{join, tokenize};

    fn check(source: &str, expected: &str) {
        assert_eq!(join_solid(&remove(&tokenize(source))), join_solid(&tokenize(expected)));
    }

    #[test]
    fn equal_definitions_stay_once() {
        check("int f(int a) { return 1; } int f(int a) { return 2; }", "int f(int a) { return 1; }");
        check(
            "template <> struct A<const T *> { int x; }; template <> struct A<const T *> { int y; };",
            "template <> struct A<const T *> { int x; };",
        );
    }

    #[test]
    fn declarations_overloads_and_data_stay() {
        for source in [
            "int f(int); int f(int);",
            "int f(int a) { } int f(float a) { }",
            "const int a[] = {1, 2}; const int b[] = {3};",
        ] {
            check(source, source);
        }
    }

    #[test]
    fn lines_are_kept() {
        let removed = remove(&tokenize("void f() {\n}\nvoid f() {\n}\nint x;"));
        assert_eq!(join(&removed).matches('\n').count(), 4);
    }
}
