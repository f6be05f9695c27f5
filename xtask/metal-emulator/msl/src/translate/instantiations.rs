//! `template [[host_name("x")]] [[kernel]] void f<float>(..);` names a kernel that is an instance of a
//! template. C++ instantiates it where it is called.

use super::Kernel;
use crate::token::{Token, closer, join, line_ends, nesting, next_solid, previous_solid};

/// Takes the instances out of the source.
pub(super) fn collect<'a>(tokens: &[Token<'a>]) -> (Vec<Token<'a>>, Vec<Kernel>) {
    let mut out = Vec::with_capacity(tokens.len());
    let mut kernels = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let attribute = next_solid(tokens, i).filter(|&k| tokens[i].is("template") && tokens[k].is("[["));
        let Some(attribute) = attribute else {
            out.push(tokens[i].clone());
            i += 1;
            continue;
        };
        let close = closer(tokens, attribute);
        let end = statement_end(tokens, close + 1);
        kernels.extend(instance(&tokens[attribute..close], &tokens[close + 1..end]));
        out.push(line_ends(&tokens[i..end]));
        i = end + 1;
    }
    (out, kernels)
}

fn instance(attribute: &[Token<'_>], declaration: &[Token<'_>]) -> Option<Kernel> {
    // String literals beside each other are one.
    let name = attribute.iter().filter(|token| token.is_text()).map(|token| token.text.trim_matches('"'));
    Some(Kernel { name: name.collect(), function: template_id(declaration)? })
}

fn statement_end(tokens: &[Token<'_>], start: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(start) {
        depth += nesting(token);
        if token.is(";") && depth == 0 {
            return i;
        }
    }
    tokens.len() - 1
}

/// The name with template arguments at the end of a declaration, before its parameters if it has any.
fn template_id(declaration: &[Token<'_>]) -> Option<String> {
    let mut end = previous_solid(declaration, declaration.len())?;
    if declaration[end].is(")") {
        end = previous_solid(declaration, opener(declaration, end)?)?;
    }
    let mut angles = 0;
    let mut parentheses = 0;
    for start in (0..=end).rev() {
        let token = &declaration[start];
        parentheses -= nesting(token);
        if parentheses == 0 {
            angles += isize::from(token.is(">")) - isize::from(token.is("<"));
        }
        if angles == 0 && parentheses == 0 && token.is("<") {
            let name = previous_solid(declaration, start)?;
            return Some(join(&declaration[name..=end]).replace('\n', " "));
        }
    }
    None
}

/// Where the bracket that closes at `end` opens.
fn opener(tokens: &[Token<'_>], end: usize) -> Option<usize> {
    let mut depth = 0;
    (0..=end).rev().find(|&k| {
        depth -= nesting(&tokens[k]);
        depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tokenize;

    fn check(source: &str, name: &str, function: &str) {
        let tokens = tokenize(source);
        let (rest, kernels) = collect(&tokens);
        assert_eq!(join(&rest).trim(), "");
        assert_eq!(kernels, [Kernel { name: name.to_owned(), function: function.to_owned() }]);
    }

    #[test]
    fn instances_are_taken_with_and_without_parameters() {
        check(
            "template [[host_name(\"f_f32\")]] [[kernel]] void f<float, 4>(device float *x, int n);",
            "f_f32",
            "f<float, 4>",
        );
        check("template [[host_name(\"g\" \"_f\")]] kernel t g<A<int>, (2>1)>;", "g_f", "g<A<int>, (2>1)>");
    }
}
