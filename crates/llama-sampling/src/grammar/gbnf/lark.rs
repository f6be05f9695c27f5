//! Rules over lexemes in the engine's dialect of Lark: rules are `r0`, `r1`, ..., lexemes `T0`, `T1`, ...

use std::fmt::{self, Write};

use super::{
    super::vocabulary::TokenNames,
    lower::{Lexeme, Lowered, Shape},
    syntax::{Count, Expr, TokenSet},
};

/// Writes a grammar down.
pub(super) fn write(lowered: &Lowered, tokens: &dyn TokenNames) -> String {
    let mut lark = Writer { lowered, tokens, out: String::new() };
    lark.grammar().expect("a string takes all text");
    lark.out
}

struct Writer<'a> {
    lowered: &'a Lowered,
    tokens: &'a dyn TokenNames,
    out: String,
}

impl Writer<'_> {
    fn grammar(&mut self) -> fmt::Result {
        writeln!(self.out, "start: r{}", self.lowered.root)?;
        for (rule, shape) in self.lowered.rules.iter().enumerate() {
            write!(self.out, "r{rule}: ")?;
            self.shape(shape)?;
            self.out.write_char('\n')?;
        }
        for (number, text) in self.lowered.texts.iter().enumerate() {
            write!(self.out, "T{number}: ")?;
            self.text(text)?;
            // A lexeme must not be empty; where it could be, the rule makes it optional.
            self.out.write_str(if text.is_nullable(&[]) { " & /(?s:.+)/\n" } else { "\n" })?;
        }
        Ok(())
    }

    fn shape(&mut self, shape: &Shape) -> fmt::Result {
        match shape {
            Shape::Lexeme(lexeme) => match self.lowered.lexemes[*lexeme] {
                Lexeme::Text(text) if self.lowered.texts[text].is_nullable(&[]) => {
                    write!(self.out, "(T{text})?")
                }
                Lexeme::Text(text) => write!(self.out, "T{text}"),
                Lexeme::Token(set) => self.token(set),
            },
            Shape::Rule(rule) => write!(self.out, "r{rule}"),
            Shape::Sequence(items) => self.list(items, " ", Self::shape),
            Shape::Alternatives(items) => self.list(items, " | ", Self::shape),
            Shape::Repeat(inner, count) => {
                self.list(std::slice::from_ref(&**inner), "", Self::shape)?;
                self.count(*count)
            }
        }
    }

    fn text(&mut self, text: &Expr) -> fmt::Result {
        match text {
            Expr::Text(text) if text.chars().all(|c| matches!(c, ' '..='~') && c != '"' && c != '\\') => {
                write!(self.out, "\"{text}\"")
            }
            Expr::Text(text) => {
                self.out.write_char('/')?;
                text.chars().try_for_each(|c| write!(self.out, "\\x{{{:x}}}", u32::from(c)))?;
                self.out.write_char('/')
            }
            Expr::Chars(set) => write!(self.out, "/{set}/"),
            Expr::Sequence(items) => self.list(items, " ", Self::text),
            Expr::Alternatives(items) => self.list(items, " | ", Self::text),
            Expr::Repeat(inner, count) => {
                self.list(std::slice::from_ref(&**inner), "", Self::text)?;
                self.count(*count)
            }
            Expr::Token(_) | Expr::Rule(_) => unreachable!("a lexeme's text holds neither tokens nor rules"),
        }
    }

    fn list<T>(
        &mut self,
        items: &[T],
        between: &str,
        write: impl Fn(&mut Self, &T) -> fmt::Result,
    ) -> fmt::Result {
        if items.is_empty() {
            return self.out.write_str("\"\"");
        }
        self.out.write_char('(')?;
        for (item_idx, item) in items.iter().enumerate() {
            self.out.write_str(if item_idx > 0 { between } else { "" })?;
            write(self, item)?;
        }
        self.out.write_char(')')
    }

    fn count(&mut self, count: Count) -> fmt::Result {
        match count {
            Count { least: 0, most: None } => self.out.write_char('*'),
            Count { least: 1, most: None } => self.out.write_char('+'),
            Count { least: 0, most: Some(1) } => self.out.write_char('?'),
            Count { least, most: Some(most) } => write!(self.out, "{{{least},{most}}}"),
            Count { least, most: None } => write!(self.out, "{{{least},}}"),
        }
    }

    /// `!<x>` is any ordinary token but `x`: special tokens are none of a text's.
    fn token(&mut self, set: TokenSet) -> fmt::Result {
        let but = match set {
            TokenSet::Only(id) => return write!(self.out, "<[{id}]>"),
            TokenSet::AllBut(id) => id,
        };
        let ordinary = |id: &u32| *id != but && !self.tokens.is_special(*id);
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for id in (0..self.tokens.num_tokens()).filter(ordinary) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == id => *last = id,
                _ => ranges.push((id, id)),
            }
        }
        let ranges: Vec<String> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        write!(self.out, "<[{}]>", ranges.join(","))
    }
}
