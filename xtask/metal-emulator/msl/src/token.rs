//! [`Token`]: the words of a preprocessed source, and how to find one's way among them.
//!
//! White space is a token too, so that a translated source has the lines of the original.

use std::borrow::Cow;

/// A word, a sign, or white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// As it is written.
    pub(crate) text: Cow<'a, str>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Space,
    Directive,
    Word,
    Text,
    Sign,
}

/// First words of attributes. `[[` before anything else is an index of an index.
const ATTRIBUTES: &[&str] = &[
    "buffer",
    "threadgroup",
    "function_constant",
    "host_name",
    "kernel",
    "max_total_threads_per_threadgroup",
    "visible",
    "texture",
    "stage_in",
    "maybe_unused",
    "unroll",
    "noinline",
    "clang",
    "gnu",
    "always_inline",
    "thread_position_in_threadgroup",
    "threadgroup_position_in_grid",
    "thread_position_in_grid",
    "threads_per_threadgroup",
    "dispatch_threads_per_threadgroup",
    "threadgroups_per_grid",
    "threads_per_grid",
    "grid_size",
    "thread_index_in_threadgroup",
    "thread_index_in_simdgroup",
    "simdgroup_index_in_threadgroup",
    "threads_per_simdgroup",
    "simdgroups_per_threadgroup",
    "thread_index_in_quadgroup",
    "quadgroup_index_in_threadgroup",
];

const LONG_SIGNS: &[&str] = &[
    "<<=", ">>=", "::", "->", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "!=", "==", "<=", ">=", "&&",
    "||", "++", "--",
];

impl<'a> Token<'a> {
    /// A word of the translation's own.
    pub(crate) fn word(text: impl Into<Cow<'a, str>>) -> Token<'a> {
        Token { text: text.into(), kind: Kind::Word }
    }

    /// Text of the translation's own, of any number of words.
    pub(crate) fn made(text: impl Into<Cow<'a, str>>) -> Token<'a> {
        Token { text: text.into(), kind: Kind::Sign }
    }

    /// White space.
    pub(crate) fn space(text: impl Into<Cow<'a, str>>) -> Token<'a> {
        Token { text: text.into(), kind: Kind::Space }
    }

    /// Whether it is white space.
    pub(crate) fn is_space(&self) -> bool {
        self.kind == Kind::Space
    }

    /// Whether it is an identifier or a keyword.
    pub(crate) fn is_word(&self) -> bool {
        self.kind == Kind::Word
    }

    /// Whether it is a string literal.
    pub(crate) fn is_text(&self) -> bool {
        self.kind == Kind::Text
    }

    /// Whether it is a line of the preprocessor's.
    pub(crate) fn is_directive(&self) -> bool {
        self.kind == Kind::Directive
    }

    /// Whether it is this word or sign.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text && !self.is_text()
    }

    /// Whether it is one of these.
    pub(crate) fn is_any(&self, texts: &[&str]) -> bool {
        texts.iter().any(|text| self.is(text))
    }
}

/// The tokens of a source. Their texts in order are the source.
pub(crate) fn tokenize(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut open = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (kind, length) = match first {
            _ if first.is_whitespace() => {
                (Kind::Space, rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()))
            }
            '#' => (Kind::Directive, rest.find('\n').unwrap_or(rest.len())),
            '"' | '\'' => (Kind::Text, quoted_length(rest, first)),
            _ if first.is_alphabetic() || first == '_' => (Kind::Word, word_length(rest)),
            _ if starts_number(rest) => (Kind::Sign, number_length(rest)),
            _ => (Kind::Sign, sign_length(rest, &mut open)),
        };
        let (text, after) = rest.split_at(length);
        tokens.push(Token { text: Cow::Borrowed(text), kind });
        rest = after;
    }
    tokens
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if c == quote => return i + 1,
            _ => {}
        }
    }
    rest.len()
}

fn word_length(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

fn starts_number(rest: &str) -> bool {
    let digits = rest.strip_prefix('.').unwrap_or(rest);
    digits.starts_with(|c: char| c.is_ascii_digit())
}

/// As the preprocessor sees numbers: a sign may follow an exponent's letter.
fn number_length(rest: &str) -> usize {
    let mut before = ' ';
    for (i, c) in rest.char_indices() {
        let is_exponent_sign = "+-".contains(c) && "eEpP".contains(before) && !rest.starts_with("0x");
        if !(c.is_alphanumeric() || c == '_' || c == '.' || is_exponent_sign) {
            return i;
        }
        before = c;
    }
    rest.len()
}

/// `open` says of each bracket that is open whether it is an attribute's.
fn sign_length(rest: &str, open: &mut Vec<bool>) -> usize {
    if let Some(inside) = rest.strip_prefix("[[") {
        let inside = inside.trim_start();
        if ATTRIBUTES.contains(&&inside[..word_length(inside)]) {
            open.push(true);
            return 2;
        }
    }
    if rest.starts_with('[') {
        open.push(false);
        return 1;
    }
    if rest.starts_with(']') {
        let is_attribute = open.pop().unwrap_or(false);
        return if is_attribute && rest.starts_with("]]") { 2 } else { 1 };
    }
    let long = LONG_SIGNS.iter().find(|sign| rest.starts_with(**sign));
    long.map_or_else(|| rest.chars().next().map_or(0, char::len_utf8), |sign| sign.len())
}

/// The next token after `i` that is not white space.
pub(crate) fn next_solid(tokens: &[Token<'_>], i: usize) -> Option<usize> {
    (i + 1..tokens.len()).find(|&k| !tokens[k].is_space())
}

/// The last token before `i` that is not white space.
pub(crate) fn previous_solid(tokens: &[Token<'_>], i: usize) -> Option<usize> {
    (0..i).rev().find(|&k| !tokens[k].is_space())
}

/// Where the bracket that opens at `i` closes; the end of the source if it does not.
pub(crate) fn closer(tokens: &[Token<'_>], i: usize) -> usize {
    let mut depth = 0;
    for (k, token) in tokens.iter().enumerate().skip(i) {
        depth += nesting(token);
        if depth == 0 {
            return k;
        }
    }
    tokens.len().saturating_sub(1)
}

/// 1 for a bracket that opens, -1 for one that closes.
pub(crate) fn nesting(token: &Token<'_>) -> isize {
    if token.is_any(&["(", "{", "[", "[["]) {
        1
    } else if token.is_any(&[")", "}", "]", "]]"]) {
        -1
    } else {
        0
    }
}

/// The parts between commas that stand in no bracket, angle brackets included.
pub(crate) fn split_at_commas<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut angles) = (0, 0, 0isize);
    for (i, token) in tokens.iter().enumerate() {
        depth += nesting(token);
        angles += isize::from(token.is("<")) - isize::from(token.is(">"));
        if token.is(",") && depth == 0 && angles <= 0 {
            parts.push(&tokens[start..i]);
            start = i + 1;
        }
    }
    if tokens[start..].iter().any(|token| !token.is_space()) {
        parts.push(&tokens[start..]);
    }
    parts
}

/// The texts in order.
pub(crate) fn join(tokens: &[Token<'_>]) -> String {
    tokens.iter().map(|token| token.text.as_ref()).collect()
}

/// The texts in order, without white space between them.
pub(crate) fn join_solid(tokens: &[Token<'_>]) -> String {
    tokens.iter().filter(|token| !token.is_space()).map(|token| token.text.as_ref()).collect()
}

/// As many line ends as these tokens have: what stands in their place keeps the lines in step.
pub(crate) fn line_ends(tokens: &[Token<'_>]) -> Token<'static> {
    let count = tokens.iter().map(|token| token.text.matches('\n').count()).sum();
    Token::space("\n".repeat(count))
}

/// The first token after the statement before `end`, on this level.
pub(crate) fn statement_start(tokens: &[Token<'_>], end: usize) -> usize {
    let is_end = |token: &Token<'_>| token.is_directive() || token.is_any(&[";", "{", "}"]);
    (0..end).rev().find(|&k| is_end(&tokens[k])).map_or(0, |k| k + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let tokens = tokenize(source);
        let solid: Vec<&str> = tokens.iter().filter(|t| !t.is_space()).map(|t| t.text.as_ref()).collect();
        assert_eq!(solid, expected);
        assert_eq!(join(&tokens), source, "nothing is lost");
    }

    #[test]
    fn words_numbers_and_signs() {
        check("a->b<<=1.5e-3f;", &["a", "->", "b", "<<=", "1.5e-3f", ";"]);
        check("x>>1", &["x", ">", ">", "1"]);
        check("0xE+1", &["0xE", "+", "1"]);
        check("f(\"a\\\"b\")", &["f", "(", "\"a\\\"b\"", ")"]);
        check("#pragma unroll\nx", &["#pragma unroll", "x"]);
    }

    #[test]
    fn attributes_are_told_from_indices() {
        check("x [[buffer(0)]]", &["x", "[[", "buffer", "(", "0", ")", "]]"]);
        check("a[b[0]]", &["a", "[", "b", "[", "0", "]", "]"]);
        check("a[[b]]", &["a", "[", "[", "b", "]", "]"]);
    }

    #[test]
    fn brackets_close_and_commas_split() {
        let tokens = tokenize("(a, f(b, c), map<d, e>)");
        assert_eq!(closer(&tokens, 0), tokens.len() - 1);
        let parts: Vec<String> =
            split_at_commas(&tokens[1..tokens.len() - 1]).iter().map(|part| join_solid(part)).collect();
        assert_eq!(parts, ["a", "f(b,c)", "map<d,e>"]);
    }
}
