//! A grammar as it is written.

use super::{super::Position, char_set::CharSet};

/// Rules by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grammar {
    pub(super) rules: Vec<Rule>,
    /// Where every text starts.
    pub(super) root: usize,
}

/// `name ::= body`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) at: Position,
    pub(super) body: Expr,
}

impl Rule {
    /// A rule that nobody wrote.
    pub(super) fn unnamed(body: Expr) -> Self {
        Self { name: "root".to_owned(), at: Position { line: 1, column: 1 }, body }
    }
}

/// What a rule is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Expr {
    /// These characters.
    Text(String),
    /// One character of a set.
    Chars(CharSet),
    /// One token.
    Token(TokenSet),
    /// What another rule matches.
    Rule(RuleRef),
    /// One after the other; nothing if empty.
    Sequence(Vec<Expr>),
    /// One of several.
    Alternatives(Vec<Expr>),
    /// Several times.
    Repeat(Box<Expr>, Count),
}

/// The use of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuleRef {
    pub(super) rule: usize,
    pub(super) at: Position,
}

/// One token, or any ordinary token but one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TokenSet {
    Only(u32),
    AllBut(u32),
}

/// How often; no `most` is any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Count {
    pub(super) least: u32,
    pub(super) most: Option<u32>,
}

impl Expr {
    /// Matches nothing but the empty text.
    pub(super) fn empty() -> Self {
        Self::Sequence(Vec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Sequence(items) if items.is_empty())
    }

    /// The expressions directly inside.
    pub(super) fn children(&self) -> &[Expr] {
        match self {
            Self::Sequence(items) | Self::Alternatives(items) => items,
            Self::Repeat(inner, _) => std::slice::from_ref(inner),
            Self::Text(_) | Self::Chars(_) | Self::Token(_) | Self::Rule(_) => &[],
        }
    }

    /// Number of expressions and characters, this one included.
    pub(super) fn size(&self) -> usize {
        let own = if let Self::Text(text) = self { text.len() } else { 1 };
        own + self.children().iter().map(Self::size).sum::<usize>()
    }

    /// Expressions inside each other, this one included.
    pub(super) fn depth(&self) -> usize {
        1 + self.children().iter().map(Self::depth).max().unwrap_or(0)
    }

    /// Whether it can match the empty text, given which rules can.
    pub(super) fn is_nullable(&self, rules: &[bool]) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Chars(_) | Self::Token(_) => false,
            Self::Rule(target) => rules[target.rule],
            Self::Sequence(items) => items.iter().all(|item| item.is_nullable(rules)),
            Self::Alternatives(items) => items.iter().any(|item| item.is_nullable(rules)),
            Self::Repeat(inner, count) => count.least == 0 || inner.is_nullable(rules),
        }
    }

    /// Calls `visit` for every use of a rule.
    pub(super) fn for_each_rule(&self, visit: &mut impl FnMut(RuleRef)) {
        if let Self::Rule(target) = self {
            visit(*target);
        }
        self.children().iter().for_each(|child| child.for_each_rule(visit));
    }
}
