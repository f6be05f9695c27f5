//! The source of a grammar, character by character, with line and column.

use super::super::{GrammarError, Position};

/// A cursor over the source.
pub(super) struct Reader<'a> {
    rest: &'a str,
    at: Position,
}

/// Whether a line break is a space like any other, or ends a rule.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    Break,
    Join,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { rest: source, at: Position { line: 1, column: 1 } }
    }

    pub(super) fn at(&self) -> Position {
        self.at
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn starts_with(&self, text: &str) -> bool {
        self.rest.starts_with(text)
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        match c {
            '\n' => self.at = Position { line: self.at.line + 1, column: 1 },
            _ => self.at.column += 1,
        }
        Some(c)
    }

    /// Takes `c` if it comes next.
    pub(super) fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.next();
        }
        found
    }

    /// Takes `text`, which is on one line, or says that it was expected.
    pub(super) fn expect(&mut self, text: &str) -> Result<(), GrammarError> {
        if !self.starts_with(text) {
            return Err(self.expected(&format!("{text:?}")));
        }
        for _ in text.chars() {
            self.next();
        }
        Ok(())
    }

    /// Takes characters as long as they are wanted.
    pub(super) fn take_while(&mut self, is_wanted: impl Fn(char) -> bool) -> &'a str {
        let start = self.rest;
        while self.peek().is_some_and(&is_wanted) {
            self.next();
        }
        &start[..start.len() - self.rest.len()]
    }

    /// Takes spaces and comments.
    pub(super) fn skip_space(&mut self, lines: Lines) {
        loop {
            match self.peek() {
                Some(' ' | '\t') => self.next(),
                Some('\r' | '\n') if lines == Lines::Join => self.next(),
                Some('#') => self.take_while(|c| c != '\r' && c != '\n').chars().next(),
                _ => return,
            };
        }
    }

    /// The error that something else stands here.
    pub(super) fn expected(&self, what: &str) -> GrammarError {
        let found = self.peek().map_or_else(|| "the end".to_owned(), |c| format!("{c:?}"));
        GrammarError::Syntax { at: self.at, reason: format!("expected {what}, found {found}") }
    }
}
