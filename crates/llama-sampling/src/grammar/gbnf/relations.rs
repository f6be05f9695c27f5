//! Which lexemes can come first, and which after which.

use std::collections::BTreeSet;

use super::{
    automaton::Budget,
    lower::{Lexeme, Lowered, Shape},
};

type Lexemes = BTreeSet<usize>;

/// Found without regard to where a rule is used, so there may be more than can really happen, but never fewer.
pub(super) struct Relations {
    /// Lexemes that can start a text.
    pub(super) first: Lexemes,
    /// For each lexeme those that can come next.
    pub(super) follow: Vec<Lexemes>,
}

/// The edges of a rule or a part of one.
#[derive(Clone, Default, PartialEq, Eq)]
struct Edges {
    first: Lexemes,
    last: Lexemes,
    is_nullable: bool,
}

impl Relations {
    /// `None` if the budget does not suffice.
    pub(super) fn of(lowered: &Lowered, budget: &mut Budget) -> Option<Self> {
        let mut finder = Finder {
            rules: vec![Edges::default(); lowered.rules.len()],
            follow: vec![Lexemes::new(); lowered.lexemes.len()],
            lowered,
            budget,
        };
        loop {
            let mut has_changed = false;
            for (rule, shape) in lowered.rules.iter().enumerate() {
                let edges = finder.edges(shape)?;
                has_changed |= finder.rules[rule] != edges;
                finder.rules[rule] = edges;
            }
            if !has_changed {
                // The last round saw the final edges, so it has found everything that follows.
                let first = finder.rules[lowered.root].first.clone();
                return Some(Self { first, follow: finder.follow });
            }
        }
    }
}

struct Finder<'a> {
    rules: Vec<Edges>,
    follow: Vec<Lexemes>,
    lowered: &'a Lowered,
    budget: &'a mut Budget,
}

impl Finder<'_> {
    fn edges(&mut self, shape: &Shape) -> Option<Edges> {
        self.budget.take(1)?;
        match shape {
            Shape::Lexeme(lexeme) => {
                let is_nullable = match self.lowered.lexemes[*lexeme] {
                    Lexeme::Text(text) => self.lowered.texts[text].is_nullable(&[]),
                    Lexeme::Token(_) => false,
                };
                let only = Lexemes::from([*lexeme]);
                Some(Edges { first: only.clone(), last: only, is_nullable })
            }
            Shape::Rule(rule) => {
                let edges = &self.rules[*rule];
                self.budget.take(edges.first.len() + edges.last.len())?;
                Some(edges.clone())
            }
            Shape::Sequence(items) => self.sequence(items),
            Shape::Alternatives(items) => {
                let mut whole = Edges::default();
                for item in items {
                    let edges = self.edges(item)?;
                    whole.first.extend(edges.first);
                    whole.last.extend(edges.last);
                    whole.is_nullable |= edges.is_nullable;
                }
                Some(whole)
            }
            Shape::Repeat(inner, count) => {
                let mut edges = self.edges(inner)?;
                if count.most != Some(1) {
                    self.connect(&edges.last, &edges.first)?;
                }
                edges.is_nullable |= count.least == 0;
                Some(edges)
            }
        }
    }

    fn sequence(&mut self, items: &[Shape]) -> Option<Edges> {
        let mut whole = Edges { is_nullable: true, ..Edges::default() };
        for item in items {
            let edges = self.edges(item)?;
            self.connect(&whole.last, &edges.first)?;
            if whole.is_nullable {
                whole.first.extend(&edges.first);
            }
            if !edges.is_nullable {
                whole.last.clear();
            }
            whole.last.extend(&edges.last);
            whole.is_nullable &= edges.is_nullable;
        }
        Some(whole)
    }

    fn connect(&mut self, lexemes: &Lexemes, next: &Lexemes) -> Option<()> {
        self.budget.take(lexemes.len() * next.len())?;
        for &lexeme in lexemes {
            self.follow[lexeme].extend(next);
        }
        Some(())
    }
}
