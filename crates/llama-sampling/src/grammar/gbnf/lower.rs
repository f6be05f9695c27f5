//! From rules over characters to rules over lexemes.
//!
//! What has no recursion is regular, and becomes one lexeme together with its regular neighbours; a rule that calls itself only at its end is
//! regular too. [`Lowered::split`] takes a lexeme apart again, one level at a time, down to single characters.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    char_set::CharSet,
    check::reachable,
    syntax::{Count, Expr, Grammar, TokenSet},
};

/// A regular rule of more parts, or deeper than this, is not copied to where it is used.
const MOST_INLINED_PARTS: usize = 2_000;
const MOST_INLINED_DEPTH: usize = 100;

/// Parts copied altogether; what would exceed it stays a rule.
const MOST_COPIED_PARTS: usize = 1_000_000;

/// Ways through a rule that calls itself at its end; with more of them it stays a rule.
const MOST_WAYS: usize = 1_000;

/// Rules over lexemes.
pub(super) struct Lowered {
    /// By the rule's number; empty for rules that are not used.
    pub(super) rules: Vec<Shape>,
    pub(super) root: usize,
    pub(super) lexemes: Vec<Lexeme>,
    /// Each text once: many lexemes share one.
    pub(super) texts: Vec<Expr>,
    numbers: BTreeMap<Expr, usize>,
}

/// A place in the grammar where one lexeme is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lexeme {
    /// The number of its text.
    Text(usize),
    Token(TokenSet),
}

/// What a rule is made of, lexemes being the smallest parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Lexeme(usize),
    Rule(usize),
    Sequence(Vec<Shape>),
    Alternatives(Vec<Shape>),
    Repeat(Box<Shape>, Count),
}

impl Shape {
    pub(super) fn empty() -> Self {
        Self::Sequence(Vec::new())
    }
}

/// Cuts a checked grammar into the longest lexemes.
pub(super) fn lower(grammar: &Grammar) -> Lowered {
    let regular = Regular::of(grammar);
    let mut lowered = Lowered {
        rules: vec![Shape::empty(); grammar.rules.len()],
        root: grammar.root,
        lexemes: Vec::new(),
        texts: Vec::new(),
        numbers: BTreeMap::new(),
    };
    let mut pending = vec![grammar.root];
    let mut is_done = vec![false; grammar.rules.len()];
    while let Some(rule) = pending.pop() {
        if std::mem::replace(&mut is_done[rule], true) {
            continue;
        }
        let body = regular.bodies[rule].as_ref().unwrap_or(&grammar.rules[rule].body);
        let shape = lowered.shape(body, &regular);
        collect_rules(&shape, &mut pending);
        lowered.rules[rule] = shape;
    }
    lowered
}

fn collect_rules(shape: &Shape, found: &mut Vec<usize>) {
    match shape {
        Shape::Lexeme(_) => {}
        Shape::Rule(rule) => found.push(*rule),
        Shape::Sequence(items) | Shape::Alternatives(items) => {
            items.iter().for_each(|item| collect_rules(item, found));
        }
        Shape::Repeat(inner, _) => collect_rules(inner, found),
    }
}

impl Lowered {
    fn shape(&mut self, expr: &Expr, regular: &Regular) -> Shape {
        if let Some(inlined) = regular.inlined(expr, None) {
            return self.text(inlined);
        }
        match expr {
            Expr::Token(set) => self.lexeme(Lexeme::Token(*set)),
            Expr::Rule(target) => Shape::Rule(target.rule),
            Expr::Sequence(items) => Shape::Sequence(self.runs(items, regular)),
            Expr::Alternatives(items) => Shape::Alternatives(self.grouped(items, regular)),
            Expr::Repeat(inner, count) => Shape::Repeat(Box::new(self.shape(inner, regular)), *count),
            Expr::Text(_) | Expr::Chars(_) => unreachable!("texts are regular"),
        }
    }

    /// Neighbours that are regular become one lexeme.
    fn runs(&mut self, items: &[Expr], regular: &Regular) -> Vec<Shape> {
        let (mut shapes, mut run) = (Vec::new(), Vec::new());
        for item in items {
            match regular.inlined(item, None) {
                Some(inlined) => run.push(inlined),
                None => {
                    if !run.is_empty() {
                        shapes.push(self.text(Expr::Sequence(std::mem::take(&mut run))));
                    }
                    shapes.push(self.shape(item, regular));
                }
            }
        }
        if !run.is_empty() {
            shapes.push(self.text(Expr::Sequence(run)));
        }
        shapes
    }

    /// Regular alternatives become one lexeme, wherever they stand.
    fn grouped(&mut self, items: &[Expr], regular: &Regular) -> Vec<Shape> {
        let (mut texts, mut shapes) = (Vec::new(), Vec::new());
        for item in items {
            match regular.inlined(item, None) {
                Some(inlined) => texts.push(inlined),
                None => shapes.push(self.shape(item, regular)),
            }
        }
        if !texts.is_empty() {
            shapes.push(self.text(Expr::Alternatives(texts)));
        }
        shapes
    }

    fn text(&mut self, mut expr: Expr) -> Shape {
        while let Expr::Sequence(items) | Expr::Alternatives(items) = &mut expr
            && items.len() == 1
        {
            expr = items.swap_remove(0);
        }
        if expr.is_empty() {
            return Shape::empty();
        }
        let next = self.texts.len();
        let number = *self.numbers.entry(expr.clone()).or_insert(next);
        if number == next {
            self.texts.push(expr);
        }
        self.lexeme(Lexeme::Text(number))
    }

    fn lexeme(&mut self, lexeme: Lexeme) -> Shape {
        self.lexemes.push(lexeme);
        Shape::Lexeme(self.lexemes.len() - 1)
    }

    /// Takes lexemes apart, each into its parts; a single character has none.
    pub(super) fn split(&mut self, lexemes: &BTreeSet<usize>) {
        let mut rules = std::mem::take(&mut self.rules);
        rules.iter_mut().for_each(|shape| self.split_in(shape, lexemes));
        self.rules = rules;
    }

    fn split_in(&mut self, shape: &mut Shape, lexemes: &BTreeSet<usize>) {
        match shape {
            Shape::Rule(_) => {}
            Shape::Sequence(items) | Shape::Alternatives(items) => {
                items.iter_mut().for_each(|item| self.split_in(item, lexemes));
            }
            Shape::Repeat(inner, _) => self.split_in(inner, lexemes),
            Shape::Lexeme(lexeme) => {
                if lexemes.contains(lexeme)
                    && let Lexeme::Text(text) = self.lexemes[*lexeme]
                {
                    *shape = self.parts(&self.texts[text].clone());
                }
            }
        }
    }

    fn parts(&mut self, text: &Expr) -> Shape {
        match text {
            Expr::Text(text) => {
                let chars = text.chars().map(|c| self.text(Expr::Chars(CharSet::single(c))));
                Shape::Sequence(chars.collect())
            }
            Expr::Sequence(items) => {
                Shape::Sequence(items.iter().map(|item| self.text(item.clone())).collect())
            }
            Expr::Alternatives(items) => {
                Shape::Alternatives(items.iter().map(|item| self.text(item.clone())).collect())
            }
            Expr::Repeat(inner, count) => Shape::Repeat(Box::new(self.text((**inner).clone())), *count),
            Expr::Chars(_) | Expr::Token(_) | Expr::Rule(_) => self.text(text.clone()),
        }
    }
}

/// Which rules are regular.
struct Regular {
    /// The body without uses of other rules, of regular rules.
    bodies: Vec<Option<Expr>>,
    is_small: Vec<bool>,
    copies_left: Cell<usize>,
}

impl Regular {
    /// From the inside out: a rule whose rules are all known to be regular is regular.
    fn of(grammar: &Grammar) -> Self {
        let num_rules = grammar.rules.len();
        let mut regular = Self {
            bodies: vec![None; num_rules],
            is_small: vec![false; num_rules],
            copies_left: Cell::new(MOST_COPIED_PARTS),
        };
        let order = reachable(grammar);
        loop {
            let mut has_grown = false;
            for &rule in
                order.iter().rev().filter(|&&rule| regular.bodies[rule].is_none()).collect::<Vec<_>>()
            {
                let Some(body) = regular.inlined(&grammar.rules[rule].body, Some(rule)) else {
                    continue;
                };
                let Some(body) = without_tail_calls(body, rule) else {
                    continue;
                };
                let is_small = body.size() <= MOST_INLINED_PARTS && body.depth() <= MOST_INLINED_DEPTH;
                regular.is_small[rule] = is_small;
                regular.bodies[rule] = Some(body);
                has_grown = true;
            }
            if !has_grown {
                return regular;
            }
        }
    }

    /// An expression with its rules replaced by what they are, but for `kept`; `None` if that cannot be.
    fn inlined(&self, expr: &Expr, kept: Option<usize>) -> Option<Expr> {
        let all = |items: &[Expr]| -> Option<Vec<Expr>> {
            items.iter().map(|item| self.inlined(item, kept)).collect()
        };
        match expr {
            Expr::Text(_) | Expr::Chars(_) => Some(expr.clone()),
            Expr::Token(_) => None,
            Expr::Rule(target) if kept == Some(target.rule) => Some(expr.clone()),
            Expr::Rule(target) => self.copy(target.rule),
            Expr::Sequence(items) => Some(Expr::Sequence(all(items)?)),
            Expr::Alternatives(items) => Some(Expr::Alternatives(all(items)?)),
            Expr::Repeat(inner, count) => Some(Expr::Repeat(Box::new(self.inlined(inner, kept)?), *count)),
        }
    }
}

impl Regular {
    /// The body of a small regular rule, as long as there may be copies.
    fn copy(&self, rule: usize) -> Option<Expr> {
        let body = self.bodies[rule].as_ref().filter(|_| self.is_small[rule])?;
        self.copies_left.set(self.copies_left.get().checked_sub(body.size())?);
        Some(body.clone())
    }
}

/// A body that calls its own rule only at the end, as a loop: `r ::= a r | b` is `a* b`.
fn without_tail_calls(body: Expr, rule: usize) -> Option<Expr> {
    if !calls(&body, rule) {
        return Some(body);
    }
    let (mut before_calls, mut ends) = (Vec::new(), Vec::new());
    separate(&body, rule, Vec::new(), &mut (&mut before_calls, &mut ends))?;
    let again = Expr::Repeat(Box::new(Expr::Alternatives(before_calls)), Count { least: 0, most: None });
    Some(Expr::Sequence(vec![again, Expr::Alternatives(ends)]))
}

fn calls(expr: &Expr, rule: usize) -> bool {
    let mut found = false;
    expr.for_each_rule(&mut |target| found |= target.rule == rule);
    found
}

/// Sorts the ways through an expression into those before a call at the end, without the call, and those without one.
/// `None` if there is a call elsewhere.
fn separate(
    expr: &Expr,
    rule: usize,
    mut before: Vec<Expr>,
    (before_calls, ends): &mut (&mut Vec<Expr>, &mut Vec<Expr>),
) -> Option<()> {
    if before_calls.len() + ends.len() > MOST_WAYS
        || before.iter().map(Expr::size).sum::<usize>() > MOST_INLINED_PARTS
    {
        return None;
    }
    if !calls(expr, rule) {
        before.push(expr.clone());
        ends.push(Expr::Sequence(before));
        return Some(());
    }
    match expr {
        Expr::Rule(_) => before_calls.push(Expr::Sequence(before)),
        Expr::Alternatives(items) => {
            for item in items {
                separate(item, rule, before.clone(), &mut (before_calls, ends))?;
            }
        }
        Expr::Sequence(items) => {
            let (last, others) = items.split_last()?;
            if others.iter().any(|item| calls(item, rule)) {
                return None;
            }
            before.extend_from_slice(others);
            separate(last, rule, before, &mut (before_calls, ends))?;
        }
        Expr::Repeat(inner, Count { least: 0, most: Some(1) }) => {
            ends.push(Expr::Sequence(before.clone()));
            separate(inner, rule, before, &mut (before_calls, ends))?;
        }
        Expr::Repeat(..) | Expr::Text(_) | Expr::Chars(_) | Expr::Token(_) => return None,
    }
    Some(())
}
