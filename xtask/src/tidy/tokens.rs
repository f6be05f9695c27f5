//! [`Tokens`]: the words of a Rust file that rules ask about, also those inside macro calls, which a
//! parser leaves alone. Comments are no tokens, and what stands in attributes (documentation above
//! all) is looked at for `#[ignore]` only.

use proc_macro2::{Delimiter, Group, LexError, Literal, TokenStream, TokenTree};

/// The words of a Rust file that rules ask about. Lines are counted from 1.
#[derive(Default)]
pub(crate) struct Tokens {
    /// Every `unsafe`.
    pub(crate) unsafes: Vec<Unsafe>,
    /// Every `.unwrap()`.
    pub(crate) unwraps: Vec<usize>,
    /// Every `todo!` and `unimplemented!`.
    pub(crate) placeholders: Vec<(String, usize)>,
    /// Every `#[ignore]`.
    pub(crate) ignores: Vec<usize>,
    /// Every string literal.
    pub(crate) strings: Vec<(String, usize)>,
}

/// One use of the keyword `unsafe`.
pub(crate) struct Unsafe {
    /// Where it stands.
    pub(crate) line: usize,
    /// What it begins.
    pub(crate) kind: UnsafeKind,
}

/// What an `unsafe` begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnsafeKind {
    /// A block, an `impl`, an `extern` block or an attribute: it claims that something holds.
    Claim,
    /// A function: its callers must see to it that something holds.
    Function,
    /// The type of a function pointer: nothing happens here.
    PointerType,
}

impl Tokens {
    /// The words of a file.
    pub(crate) fn of(text: &str) -> Result<Tokens, LexError> {
        let mut tokens = Tokens::default();
        tokens.scan(text.parse()?);
        Ok(tokens)
    }

    fn scan(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        for (i, tree) in trees.iter().enumerate() {
            let rest = &trees[i + 1..];
            match tree {
                TokenTree::Group(group) => {
                    let before = trees[..i].iter().rev().find(|tree| !is_punct(tree, '!'));
                    if group.delimiter() == Delimiter::Bracket
                        && before.is_some_and(|tree| is_punct(tree, '#'))
                    {
                        self.attribute(group);
                    } else {
                        self.scan(group.stream());
                    }
                }
                TokenTree::Ident(ident) => self.word(&ident.to_string(), ident.span().start().line, rest),
                TokenTree::Punct(punct) if punct.as_char() == '.' && is_unwrap(rest) => {
                    self.unwraps.push(rest[0].span().start().line);
                }
                TokenTree::Punct(_) => {}
                TokenTree::Literal(literal) => self.literal(literal),
            }
        }
    }

    fn word(&mut self, word: &str, line: usize, rest: &[TokenTree]) {
        match word {
            "unsafe" => self.unsafes.push(Unsafe { line, kind: unsafe_kind(rest) }),
            "todo" | "unimplemented" if rest.first().is_some_and(|tree| is_punct(tree, '!')) => {
                self.placeholders.push((word.to_owned(), line));
            }
            _ => {}
        }
    }

    fn attribute(&mut self, group: &Group) {
        let mut words = Vec::new();
        collect_words(group.stream(), &mut words);
        let names_ignore = match words.first().map(String::as_str) {
            Some("ignore") => true,
            Some("cfg_attr") => words.iter().any(|word| word == "ignore"),
            _ => false,
        };
        if names_ignore {
            self.ignores.push(group.span_open().start().line);
        }
        if words.first().is_some_and(|word| word == "unsafe") {
            let line = group.span_open().start().line;
            self.unsafes.push(Unsafe { line, kind: UnsafeKind::Claim });
        }
    }

    fn literal(&mut self, literal: &Literal) {
        let line = literal.span().start().line;
        match syn::Lit::new(literal.clone()) {
            syn::Lit::Str(text) => self.strings.push((text.value(), line)),
            syn::Lit::ByteStr(bytes) => {
                self.strings.push((String::from_utf8_lossy(&bytes.value()).into_owned(), line));
            }
            syn::Lit::CStr(text) => self.strings.push((text.value().to_string_lossy().into_owned(), line)),
            _ => {}
        }
    }
}

fn unsafe_kind(rest: &[TokenTree]) -> UnsafeKind {
    // `unsafe extern "C" fn` is a function, `unsafe extern "C" {}` claims that declarations are right.
    let is_qualifier = |tree: &&TokenTree| matches!(tree, TokenTree::Literal(_)) || is_word(tree, "extern");
    let mut rest = rest.iter().skip_while(is_qualifier);
    match (rest.next(), rest.next()) {
        (Some(word), Some(TokenTree::Ident(_))) if is_word(word, "fn") => UnsafeKind::Function,
        (Some(word), _) if is_word(word, "fn") => UnsafeKind::PointerType,
        _ => UnsafeKind::Claim,
    }
}

fn is_unwrap(rest: &[TokenTree]) -> bool {
    match rest {
        [name, TokenTree::Group(arguments), ..] => {
            let is_call = arguments.delimiter() == Delimiter::Parenthesis && arguments.stream().is_empty();
            is_word(name, "unwrap") && is_call
        }
        _ => false,
    }
}

fn collect_words(stream: TokenStream, words: &mut Vec<String>) {
    for tree in stream {
        match tree {
            TokenTree::Ident(ident) => words.push(ident.to_string()),
            TokenTree::Group(group) => collect_words(group.stream(), words),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn is_word(tree: &TokenTree, word: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == word)
}

fn is_punct(tree: &TokenTree, character: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == character)
}
