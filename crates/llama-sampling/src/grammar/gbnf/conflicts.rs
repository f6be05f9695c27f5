//! Where the longest match would lose a text.
//!
//! The engine's lexer reads on as long as any lexeme that is allowed can go on, and only then ends one. Let `a` and `b` be allowed at the same
//! place. If a text of `a` is the beginning of a longer one of `b`, and `b` can go on with a byte with which something after `a` begins, then the
//! lexer takes that byte for `b` and the way over `a` is lost. So `b` is taken apart, until no such pair is left; then every text of the grammar
//! has exactly one division into lexemes at which the lexer stops, and that is the one it finds. Single characters never go on.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{GrammarError, GrammarLimits, vocabulary::TokenNames},
    automaton::{Automaton, Budget, Overlap},
    byte_set::ByteSet,
    lower::{Lexeme, Lowered},
    relations::Relations,
    syntax::TokenSet,
};

/// Takes lexemes apart until the longest match is always right.
pub(super) fn resolve(
    lowered: &mut Lowered,
    limits: &GrammarLimits,
    tokens: &dyn TokenNames,
) -> Result<(), GrammarError> {
    let limit = limits.max_analysis_steps;
    let too_large =
        || GrammarError::TooLarge { what: "steps of analysis", found: limit + 1, limit, at: None };
    let mut texts = Texts { automata: Vec::new(), overlaps: BTreeMap::new(), budget: Budget(limit) };
    loop {
        texts.add(lowered).ok_or_else(too_large)?;
        let relations = Relations::of(lowered, &mut texts.budget).ok_or_else(too_large)?;
        let (met, pending) = (BTreeSet::new(), Vec::new());
        let mut search = Search { lowered, relations, texts: &mut texts, tokens, met, pending };
        let too_long = search.too_long()?.ok_or_else(too_large)?;
        if too_long.is_empty() {
            return Ok(());
        }
        lowered.split(&too_long);
    }
}

/// What is known of texts, by number.
struct Texts {
    automata: Vec<Automaton>,
    overlaps: BTreeMap<(usize, usize), Overlap>,
    budget: Budget,
}

impl Texts {
    /// Learns the texts that are new.
    fn add(&mut self, lowered: &Lowered) -> Option<()> {
        for text in &lowered.texts[self.automata.len()..] {
            self.automata.push(Automaton::new(text, &mut self.budget)?);
        }
        Some(())
    }

    fn overlap(&mut self, first: usize, second: usize) -> Option<Overlap> {
        self.budget.take(1)?;
        if let Some(overlap) = self.overlaps.get(&(first, second)) {
            return Some(*overlap);
        }
        let overlap = self.automata[first].overlap(&self.automata[second], &mut self.budget)?;
        self.overlaps.insert((first, second), overlap);
        Some(overlap)
    }
}

struct Search<'a> {
    lowered: &'a Lowered,
    relations: Relations,
    texts: &'a mut Texts,
    tokens: &'a dyn TokenNames,
    /// Pairs that can be allowed at the same place, the smaller first.
    met: BTreeSet<(usize, usize)>,
    /// Those that have not been compared.
    pending: Vec<(usize, usize)>,
}

impl Search<'_> {
    /// Lexemes to take apart; `None` if the budget does not suffice.
    fn too_long(&mut self) -> Result<Option<BTreeSet<usize>>, GrammarError> {
        let mut found = BTreeSet::new();
        let first = self.relations.first.clone();
        if self.meet(&first, &first).is_none() {
            return Ok(None);
        }
        let beginnings: Vec<ByteSet> =
            self.lowered.lexemes.iter().map(|lexeme| self.beginnings(*lexeme)).collect();
        while let Some((a, b)) = self.pending.pop() {
            let Some(is_common) = self.compare((a, b), &beginnings, &mut found)? else {
                return Ok(None);
            };
            if is_common {
                let (after_a, after_b) = (self.relations.follow[a].clone(), self.relations.follow[b].clone());
                if self.meet(&after_a, &after_b).is_none() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(found))
    }

    /// Notes that lexemes of both sets can be allowed at the same place. `None` if the budget does not suffice.
    fn meet(&mut self, some: &BTreeSet<usize>, others: &BTreeSet<usize>) -> Option<()> {
        self.texts.budget.take(some.len() * others.len())?;
        for &a in some {
            let pairs = others.iter().map(|&b| (a.min(b), a.max(b)));
            self.pending.extend(pairs.filter(|&pair| self.met.insert(pair)));
        }
        Some(())
    }

    /// Notes which of two lexemes is too long. Says whether they have a text in common; `None` if the budget does not suffice.
    fn compare(
        &mut self,
        (a, b): (usize, usize),
        beginnings: &[ByteSet],
        found: &mut BTreeSet<usize>,
    ) -> Result<Option<bool>, GrammarError> {
        match (self.lowered.lexemes[a], self.lowered.lexemes[b]) {
            (Lexeme::Text(text), Lexeme::Text(other)) => {
                let overlaps = (self.texts.overlap(text, other), self.texts.overlap(other, text));
                let (Some(overlap), Some(reverse)) = overlaps else {
                    return Ok(None);
                };
                if self.is_lossy(a, &overlap, beginnings) {
                    found.insert(b);
                }
                if self.is_lossy(b, &reverse, beginnings) {
                    found.insert(a);
                }
                Ok(Some(overlap.is_common))
            }
            (Lexeme::Token(set), Lexeme::Token(other)) if set == other => Ok(Some(true)),
            (Lexeme::Token(set), Lexeme::Token(other)) => match self.share_a_token(set, other) {
                true => Err(GrammarError::AmbiguousToken { with: "another token reference".to_owned() }),
                false => Ok(Some(false)),
            },
            (Lexeme::Token(set), Lexeme::Text(_)) | (Lexeme::Text(_), Lexeme::Token(set)) => {
                match self.is_special(set) {
                    true => Ok(Some(false)),
                    false => Err(GrammarError::AmbiguousToken { with: "a text".to_owned() }),
                }
            }
        }
    }

    fn is_lossy(&self, lexeme: usize, overlap: &Overlap, beginnings: &[ByteSet]) -> bool {
        let mut next = self.relations.follow[lexeme].iter();
        next.any(|&next| overlap.extensions.intersects(&beginnings[next]))
    }

    fn beginnings(&self, lexeme: Lexeme) -> ByteSet {
        match lexeme {
            Lexeme::Text(text) => self.texts.automata[text].beginnings(),
            Lexeme::Token(set) if self.is_special(set) => ByteSet::default(),
            Lexeme::Token(_) => ByteSet::all(),
        }
    }

    /// Whether no text can be spelled with its tokens.
    fn is_special(&self, set: TokenSet) -> bool {
        matches!(set, TokenSet::Only(id) if self.tokens.is_special(id))
    }

    fn share_a_token(&self, set: TokenSet, other: TokenSet) -> bool {
        match (set, other) {
            (TokenSet::Only(id), TokenSet::Only(other_id)) => id == other_id,
            (TokenSet::Only(id), TokenSet::AllBut(but)) | (TokenSet::AllBut(but), TokenSet::Only(id)) => {
                id != but && !self.tokens.is_special(id)
            }
            (TokenSet::AllBut(_), TokenSet::AllBut(_)) => true,
        }
    }
}
