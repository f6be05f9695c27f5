//! What a grammar must not be: left-recursive, or without an end.

use super::{
    super::GrammarError,
    syntax::{Expr, Grammar, RuleRef},
};

/// Refuses rules that can begin with themselves before anything is read, and rules in use that can never end.
pub(super) fn check(grammar: &Grammar) -> Result<(), GrammarError> {
    let never_ends = |rule: usize| {
        let rule = &grammar.rules[rule];
        GrammarError::NeverEnds { at: rule.at, rule: rule.name.clone() }
    };
    let ends = fixpoint(grammar, can_end);
    if let Some(rule) = reachable(grammar).into_iter().find(|&rule| !ends[rule]) {
        return Err(never_ends(rule));
    }
    refuse_left_recursion(grammar)
}

/// Which rules can match the empty text.
pub(super) fn nullable_rules(grammar: &Grammar) -> Vec<bool> {
    fixpoint(grammar, Expr::is_nullable)
}

/// The least set of rules whose bodies have a property, given the rules that have it.
fn fixpoint(grammar: &Grammar, holds: impl Fn(&Expr, &[bool]) -> bool) -> Vec<bool> {
    let mut found = vec![false; grammar.rules.len()];
    loop {
        let before = found.clone();
        for (rule_idx, rule) in grammar.rules.iter().enumerate() {
            found[rule_idx] = found[rule_idx] || holds(&rule.body, &found);
        }
        if found == before {
            return found;
        }
    }
}

fn can_end(expr: &Expr, rules: &[bool]) -> bool {
    match expr {
        Expr::Text(_) | Expr::Chars(_) | Expr::Token(_) => true,
        Expr::Rule(target) => rules[target.rule],
        Expr::Sequence(items) => items.iter().all(|item| can_end(item, rules)),
        Expr::Alternatives(items) => items.iter().any(|item| can_end(item, rules)),
        Expr::Repeat(inner, count) => count.least == 0 || can_end(inner, rules),
    }
}

/// The root and what it uses, in the order of first use.
pub(super) fn reachable(grammar: &Grammar) -> Vec<usize> {
    let mut is_found = vec![false; grammar.rules.len()];
    let mut order = vec![grammar.root];
    is_found[grammar.root] = true;
    let mut next = 0;
    while let Some(&rule) = order.get(next) {
        grammar.rules[rule].body.for_each_rule(&mut |target| {
            if !std::mem::replace(&mut is_found[target.rule], true) {
                order.push(target.rule);
            }
        });
        next += 1;
    }
    order
}

/// Looks for a rule that comes back to itself over first uses.
fn refuse_left_recursion(grammar: &Grammar) -> Result<(), GrammarError> {
    let nullable = nullable_rules(grammar);
    let beginnings: Vec<Vec<RuleRef>> = grammar
        .rules
        .iter()
        .map(|rule| {
            let mut found = Vec::new();
            collect_beginnings(&rule.body, &nullable, &mut found);
            found
        })
        .collect();
    for start in 0..grammar.rules.len() {
        let mut is_found = vec![false; grammar.rules.len()];
        let mut pending = beginnings[start].clone();
        while let Some(target) = pending.pop() {
            if target.rule == start {
                return Err(GrammarError::LeftRecursion {
                    at: target.at,
                    rule: grammar.rules[start].name.clone(),
                });
            }
            if !std::mem::replace(&mut is_found[target.rule], true) {
                pending.extend(&beginnings[target.rule]);
            }
        }
    }
    Ok(())
}

/// The uses of rules before which nothing has to be read.
fn collect_beginnings(expr: &Expr, nullable: &[bool], found: &mut Vec<RuleRef>) {
    match expr {
        Expr::Rule(target) => found.push(*target),
        Expr::Sequence(items) => {
            for item in items {
                collect_beginnings(item, nullable, found);
                if !item.is_nullable(nullable) {
                    return;
                }
            }
        }
        _ => expr.children().iter().for_each(|child| collect_beginnings(child, nullable, found)),
    }
}
