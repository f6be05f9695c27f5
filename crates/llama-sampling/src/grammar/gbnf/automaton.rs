//! Which characters can follow which in a regular expression (Glushkov, "The abstract theory of automata", 1961), and where two of them meet.

use std::collections::BTreeSet;

use super::{
    byte_set::ByteSet,
    char_set::CharSet,
    syntax::{Count, Expr},
};

/// A repetition up to this often, with up to this many characters altogether, is unrolled; others are taken as unbounded, which only ever adds
/// texts.
const MOST_UNROLLED: u32 = 8;
const MOST_UNROLLED_CHARS: usize = 64;

/// The characters of an expression, by their place in it.
#[derive(Default)]
pub(super) struct Automaton {
    sets: Vec<CharSet>,
    first_bytes: Vec<ByteSet>,
    first: Vec<usize>,
    follow: Vec<Vec<usize>>,
    is_last: Vec<bool>,
}

/// How the texts of one expression meet those of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Overlap {
    /// Whether they have a text in common.
    pub(super) is_common: bool,
    /// The bytes that can follow a text of the first where the second goes on.
    pub(super) extensions: ByteSet,
}

/// Steps of work that may still be done.
pub(super) struct Budget(pub(super) usize);

impl Budget {
    /// Takes steps; `None` if there are not so many.
    pub(super) fn take(&mut self, num_steps: usize) -> Option<()> {
        self.0 = self.0.checked_sub(num_steps)?;
        Some(())
    }
}

/// A part of an expression while the automaton is built.
struct Part {
    first: Vec<usize>,
    last: Vec<usize>,
    is_nullable: bool,
}

impl Automaton {
    /// `None` if the budget does not suffice.
    pub(super) fn new(expr: &Expr, budget: &mut Budget) -> Option<Self> {
        let mut automaton = Self::default();
        let whole = automaton.part(expr, budget)?;
        automaton.first = whole.first;
        automaton.is_last = vec![false; automaton.sets.len()];
        whole.last.into_iter().for_each(|place| automaton.is_last[place] = true);
        Some(automaton)
    }

    /// The bytes with which its texts begin.
    pub(super) fn beginnings(&self) -> ByteSet {
        self.bytes(&self.first)
    }

    fn bytes(&self, places: &[usize]) -> ByteSet {
        places.iter().fold(ByteSet::default(), |mut bytes, &place| {
            bytes.add(&self.first_bytes[place]);
            bytes
        })
    }

    /// Walks through both at once. `None` if the budget does not suffice.
    pub(super) fn overlap(&self, other: &Self, budget: &mut Budget) -> Option<Overlap> {
        let mut overlap = Overlap::default();
        let (mut seen, mut pending) = (BTreeSet::new(), Vec::new());
        let mut step = |mine: &[usize], theirs: &[usize], pending: &mut Vec<(usize, usize)>| {
            budget.take(mine.len() * theirs.len() + 1)?;
            for &place in mine {
                let meets = |&&other_place: &&usize| self.sets[place].intersects(&other.sets[other_place]);
                let pairs = theirs.iter().filter(meets).map(|&other_place| (place, other_place));
                pending.extend(pairs.filter(|&pair| seen.insert(pair)));
            }
            Some(())
        };
        step(&self.first, &other.first, &mut pending)?;
        while let Some((place, other_place)) = pending.pop() {
            if self.is_last[place] {
                overlap.is_common |= other.is_last[other_place];
                overlap.extensions.add(&other.bytes(&other.follow[other_place]));
            }
            step(&self.follow[place], &other.follow[other_place], &mut pending)?;
        }
        Some(overlap)
    }

    fn part(&mut self, expr: &Expr, budget: &mut Budget) -> Option<Part> {
        match expr {
            Expr::Text(text) => {
                let chars: Vec<Expr> = text.chars().map(|c| Expr::Chars(CharSet::single(c))).collect();
                self.sequence(&chars, budget)
            }
            Expr::Chars(set) => {
                budget.take(1)?;
                let place = self.sets.len();
                self.sets.push(set.clone());
                self.first_bytes.push(set.first_bytes());
                self.follow.push(Vec::new());
                Some(Part { first: vec![place], last: vec![place], is_nullable: false })
            }
            Expr::Sequence(items) => self.sequence(items, budget),
            Expr::Alternatives(items) => {
                let mut whole = Part { first: Vec::new(), last: Vec::new(), is_nullable: false };
                for item in items {
                    let part = self.part(item, budget)?;
                    whole.first.extend(part.first);
                    whole.last.extend(part.last);
                    whole.is_nullable |= part.is_nullable;
                }
                Some(whole)
            }
            Expr::Repeat(inner, count) => self.repeat(inner, *count, budget),
            Expr::Token(_) | Expr::Rule(_) => unreachable!("a lexeme's text holds neither tokens nor rules"),
        }
    }

    fn sequence(&mut self, items: &[Expr], budget: &mut Budget) -> Option<Part> {
        let mut whole = Part { first: Vec::new(), last: Vec::new(), is_nullable: true };
        for item in items {
            let part = self.part(item, budget)?;
            self.join(&whole, part, budget).map(|joined| whole = joined)?;
        }
        Some(whole)
    }

    fn join(&mut self, before: &Part, after: Part, budget: &mut Budget) -> Option<Part> {
        self.connect(&before.last, &after.first, budget)?;
        budget.take(before.first.len() + before.last.len())?;
        let mut whole = Part { first: before.first.clone(), last: after.last, ..after };
        if before.is_nullable {
            whole.first.extend(after.first);
        }
        if after.is_nullable {
            whole.last.extend(&before.last);
        }
        whole.is_nullable &= before.is_nullable;
        Some(whole)
    }

    fn connect(&mut self, places: &[usize], next: &[usize], budget: &mut Budget) -> Option<()> {
        budget.take(places.len() * next.len())?;
        for &place in places {
            self.follow[place].extend(next);
        }
        Some(())
    }

    fn repeat(&mut self, inner: &Expr, count: Count, budget: &mut Budget) -> Option<Part> {
        let unrolled = count.most.filter(|&most| {
            most <= MOST_UNROLLED && inner.size().saturating_mul(most as usize) <= MOST_UNROLLED_CHARS
        });
        let Some(most) = unrolled else {
            let mut part = self.part(inner, budget)?;
            let first = part.first.clone();
            self.connect(&part.last.clone(), &first, budget)?;
            part.is_nullable |= count.least == 0;
            return Some(part);
        };
        let mut whole = Part { first: Vec::new(), last: Vec::new(), is_nullable: true };
        for turn in 0..most {
            let mut part = self.part(inner, budget)?;
            part.is_nullable |= turn >= count.least;
            whole = self.join(&whole, part, budget)?;
        }
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn automaton(expr: &Expr) -> Automaton {
        Automaton::new(expr, &mut Budget(10_000)).unwrap()
    }

    fn text(text: &str) -> Expr {
        Expr::Text(text.to_owned())
    }

    fn bytes(set: ByteSet) -> Vec<u8> {
        (0..=255).filter(|&byte| set.contains(byte)).collect()
    }

    #[test]
    fn extensions_follow_a_whole_text_inside_another() {
        let check = |first: &Expr, second: &Expr, is_common: bool, extensions: &[u8]| {
            let overlap = automaton(first).overlap(&automaton(second), &mut Budget(10_000)).unwrap();
            assert_eq!((overlap.is_common, bytes(overlap.extensions)), (is_common, extensions.to_vec()));
        };
        let letters = Expr::Repeat(
            Box::new(Expr::Chars(CharSet::new(vec![('a', 'c')]))),
            Count { least: 1, most: None },
        );
        check(&text("ab"), &text("abd"), false, b"d");
        check(&text("abd"), &text("ab"), false, b"");
        check(&text("ab"), &letters, true, b"abc");
        check(&letters, &text("abd"), false, b"bd");
        check(&text("x"), &letters, false, b"");
        let twice = Expr::Repeat(Box::new(text("ab")), Count { least: 1, most: Some(2) });
        check(&twice, &twice, true, b"a");
    }

    #[test]
    fn a_budget_ends() {
        assert!(Automaton::new(&text("abc"), &mut Budget(2)).is_none());
    }
}
