//! Address spaces go: on the CPU there is one. `constant` stays as `const`, and a variable in threadgroup
//! memory asks the runtime for its place.
//!
//! Member functions that differ in nothing else become equal, and all but the first of them are dropped.

use std::collections::HashSet;

use crate::token::{Token, closer, join, join_solid, line_ends, next_solid, previous_solid, statement_start};

const SPACES: &[&str] = &["device", "thread", "constant", "threadgroup"];

/// Removes the names of address spaces.
pub(super) fn remove<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut pass = Pass { tokens, out: Vec::with_capacity(tokens.len()), blocks: vec![0], ..Pass::default() };
    let mut i = 0;
    while i < tokens.len() {
        i = pass.step(i);
    }
    pass.out
}

#[derive(Default)]
struct Pass<'t, 'a> {
    tokens: &'t [Token<'a>],
    out: Vec<Token<'a>>,
    /// The blocks that are open, by number.
    blocks: Vec<usize>,
    num_blocks: usize,
    members: HashSet<(usize, String)>,
}

impl<'a> Pass<'_, 'a> {
    /// Handles the token at `i`, and says where to go on.
    fn step(&mut self, i: usize) -> usize {
        let token = &self.tokens[i];
        if token.is_any(SPACES) {
            if self.qualifies_member(i) && !self.is_new_member() {
                return self.skip_member(i);
            }
            return self.space(i);
        }
        if token.is_any(&["{", ":", "=", ";"]) && self.ends_with_parameters() {
            self.is_new_member();
        }
        if token.is("{") {
            self.num_blocks += 1;
            self.blocks.push(self.num_blocks);
        } else if token.is("}") && self.blocks.len() > 1 {
            self.blocks.pop();
        }
        self.out.push(token.clone());
        i + 1
    }

    fn space(&mut self, i: usize) -> usize {
        let token = &self.tokens[i];
        if token.is("threadgroup")
            && let Some(end) = self.variable_end(i)
        {
            let variables = threadgroup_variables(&self.tokens[i + 1..end]);
            self.out.extend(variables);
            return end;
        }
        if token.is("constant") && !self.is_const_already(i) {
            self.out.push(Token::word("const"));
        }
        i + 1
    }

    /// Whether the address space at `i` stands behind the parameters of a member function.
    fn qualifies_member(&self, i: usize) -> bool {
        let follows =
            next_solid(self.tokens, i).is_some_and(|k| self.tokens[k].is_any(&["{", ":", "=", ";"]));
        follows && self.ends_with_parameters()
    }

    /// Whether what is written so far ends with `)` or `) const`.
    fn ends_with_parameters(&self) -> bool {
        let Some(last) = previous_solid(&self.out, self.out.len()) else { return false };
        let is_const = self.out[last].is("const")
            && previous_solid(&self.out, last).is_some_and(|k| self.out[k].is(")"));
        self.out[last].is(")") || is_const
    }

    fn is_new_member(&mut self) -> bool {
        let start = statement_start(&self.out, self.out.len());
        let block = self.blocks.last().copied().unwrap_or(0);
        self.members.insert((block, join_solid(&self.out[start..])))
    }

    fn skip_member(&mut self, i: usize) -> usize {
        let start = statement_start(&self.out, self.out.len());
        let head = self.out.split_off(start);
        let is_body = |k: &usize| self.tokens[*k].is_any(&["{", ";"]);
        let body = (i..self.tokens.len()).find(is_body).unwrap_or(self.tokens.len() - 1);
        let end = if self.tokens[body].is("{") { closer(self.tokens, body) } else { body };
        self.out.extend([line_ends(&head), line_ends(&self.tokens[i..=end])]);
        end + 1
    }

    /// Where the declaration ends, if `threadgroup` at `i` begins one of variables.
    fn variable_end(&self, i: usize) -> Option<usize> {
        let before = previous_solid(&self.out, self.out.len());
        let begins = before.is_none_or(|k| {
            self.out[k].is_directive() || self.out[k].is_any(&[";", "{", "}", "const", "constexpr"])
        });
        let mut angles = 0;
        for (k, token) in self.tokens.iter().enumerate().skip(i + 1) {
            angles += isize::from(token.is("<")) - isize::from(token.is(">"));
            if angles > 0 {
                continue;
            }
            if token.is_any(&["*", "&", "(", ")", "{", "="]) && !self.is_within_brackets(i, k) {
                return None;
            }
            if token.is(";") {
                return begins.then_some(k);
            }
        }
        None
    }

    fn is_within_brackets(&self, start: usize, end: usize) -> bool {
        let count = |sign| self.tokens[start..end].iter().filter(|token| token.is(sign)).count();
        count("[") > count("]")
    }

    fn is_const_already(&self, i: usize) -> bool {
        let is_const = |k: usize| self.tokens[k].is("const");
        let next = next_solid(self.tokens, i);
        let after_constexpr =
            next.filter(|&k| self.tokens[k].is("constexpr")).and_then(|k| next_solid(self.tokens, k));
        next.is_some_and(is_const)
            || after_constexpr.is_some_and(is_const)
            || previous_solid(&self.out, self.out.len()).is_some_and(|k| self.out[k].is("const"))
    }
}

/// `T a[N], b;` as references to memory that the runtime hands out.
fn threadgroup_variables<'a>(declaration: &[Token<'a>]) -> Vec<Token<'a>> {
    let text = |tokens: &[Token<'a>]| join(tokens).replace('\n', " ").trim().to_owned();
    let parts = crate::token::split_at_commas(declaration);
    let mut element = String::new();
    let mut out = Vec::new();
    for part in parts {
        let bracket = part.iter().position(|token| token.is("[")).unwrap_or(part.len());
        let Some(name) = previous_solid(part, bracket) else { continue };
        if element.is_empty() {
            element = text(&part[..name]);
        } else {
            out.push(Token::made(";"));
        }
        let (name, extents) = (&part[name].text, text(&part[bracket..]));
        let code = format!("auto &{name} = ::msl::threadgroup_variable<{element}{extents}>([]{{}})");
        out.push(Token::made(code));
    }
    out.push(line_ends(declaration));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tokenize;

    fn check(source: &str, expected: &str) {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&join(&remove(&tokenize(source)))), words(expected));
    }

    #[test]
    fn pointers_lose_their_space_and_constants_stay_constant() {
        check("void f(device const T *x, constant S &s);", "void f( const T *x, const S &s);");
        check("constant constexpr const int a = 1;", "constexpr const int a = 1;");
        check("threadgroup T *p = q;", "T *p = q;");
    }

    #[test]
    fn threadgroup_variables_ask_for_memory() {
        check(
            "{ threadgroup float s[N * 2]; }",
            "{ auto &s = ::msl::threadgroup_variable<float[N * 2]>([]{}); }",
        );
        check(
            "{ threadgroup vec<T, 4> a[2][3], b; }",
            "{ auto &a = ::msl::threadgroup_variable<vec<T, 4>[2][3]>([]{});auto &b = ::msl::threadgroup_variable<vec<T, 4>>([]{}); }",
        );
    }

    #[test]
    fn members_that_differ_in_space_alone_are_kept_once() {
        check(
            "struct A { float f() const thread { return 1; } float f() const device { return 1; } };",
            "struct A { float f() const { return 1; } };",
        );
        check(
            "struct A { A() thread = default; A() threadgroup = default; };",
            "struct A { A() = default; };",
        );
        check("struct A { A() = default; A() threadgroup = default; };", "struct A { A() = default; };");
    }
}
