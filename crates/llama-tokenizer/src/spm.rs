//! Score-driven merging, as SentencePiece's BPE vocabularies in GGUF files need it.
//!
//! Owns [`SpmModel`]. Spaces become `▁`; every character starts as a symbol of its own; of all neighbours whose concatenation is a token,
//! the pair with the highest score merges first, the leftmost one among equals; what never became a token falls back to its bytes.
//! The source is llama.cpp's description of the algorithm. A list of merges derived from the scores would not do: two ways to
//! spell one token then have different ranks, which changes the order among equals. Invariant: control and unknown tokens never come out
//! of text. It deliberately does not split off special tokens; that has happened before.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};

use crate::pieces::LeadingSpace;

/// A vocabulary with scores.
#[derive(Debug)]
pub(crate) struct SpmModel {
    /// All tokens that text may become, with their scores.
    pub(crate) pieces: HashMap<String, ScoredPiece>,
    /// All texts by id, those of special tokens included.
    pub(crate) texts: Vec<String>,
    /// All ids by text, those of special tokens included.
    pub(crate) ids: HashMap<String, u32>,
    /// What each byte falls back to.
    pub(crate) byte_ids: Box<[u32; 256]>,
    /// Whether each run of text gets a space in front.
    pub(crate) leading_space: LeadingSpace,
}

/// A token and its rank among merges: higher merges first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoredPiece {
    pub(crate) id: u32,
    pub(crate) score: f32,
}

impl SpmModel {
    /// The ids of one run of text.
    ///
    /// Costs O(n log n) for n characters.
    pub(crate) fn encode(&self, run: &str) -> Vec<u32> {
        let mut text = String::with_capacity(run.len() + 3);
        if self.leading_space == LeadingSpace::Strip && !run.is_empty() {
            text.push('▁');
        }
        text.extend(run.chars().map(|character| if character == ' ' { '▁' } else { character }));
        let symbols = Merger::new(self, &text).run();
        let mut ids = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            match self.pieces.get(symbol) {
                Some(piece) => ids.push(piece.id),
                None => ids.extend(symbol.bytes().map(|byte| self.byte_ids[usize::from(byte)])),
            }
        }
        ids
    }
}

/// The symbols of one text while they merge: a doubly linked list over their start offsets.
struct Merger<'a> {
    model: &'a SpmModel,
    text: &'a str,
    symbols: Vec<Symbol>,
    queue: BinaryHeap<Candidate>,
}

/// A stretch of text; empty once it has merged into its left neighbour.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    end: usize,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours that together are a token.
struct Candidate {
    score: f32,
    left: usize,
    right: usize,
    end: usize,
}

impl<'a> Merger<'a> {
    fn new(model: &'a SpmModel, text: &'a str) -> Self {
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(idx, (start, character))| Symbol {
                start,
                end: start + character.len_utf8(),
                previous: idx.checked_sub(1),
                next: Some(idx + 1),
            })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.next = None;
        }
        Self { model, text, symbols, queue: BinaryHeap::new() }
    }

    fn run(mut self) -> Vec<&'a str> {
        for right in 1..self.symbols.len() {
            self.consider(right - 1, right);
        }
        while let Some(candidate) = self.queue.pop() {
            self.merge(&candidate);
        }
        let alive = self.symbols.iter().filter(|symbol| symbol.start < symbol.end);
        alive.map(|symbol| &self.text[symbol.start..symbol.end]).collect()
    }

    fn consider(&mut self, left: usize, right: usize) {
        let end = self.symbols[right].end;
        if let Some(piece) = self.model.pieces.get(&self.text[self.symbols[left].start..end]) {
            self.queue.push(Candidate { score: piece.score, left, right, end });
        }
    }

    fn merge(&mut self, candidate: &Candidate) {
        let (left, right) = (self.symbols[candidate.left], self.symbols[candidate.right]);
        let is_outdated = left.start == left.end
            || left.end != right.start
            || right.end != candidate.end
            || right.start == right.end;
        if is_outdated {
            return;
        }
        self.symbols[candidate.right].start = right.end;
        self.symbols[candidate.left].end = right.end;
        self.symbols[candidate.left].next = right.next;
        if let Some(next) = right.next {
            self.symbols[next].previous = Some(candidate.left);
            self.consider(candidate.left, next);
        }
        if let Some(previous) = left.previous {
            self.consider(previous, candidate.left);
        }
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        // Scores are checked to be numbers and -0.0 is cleared when a vocabulary is read, so the total order is the usual one.
        self.score.total_cmp(&other.score).then(Reverse(self.left).cmp(&Reverse(other.left)))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids are positions in `pieces`, then 1000 + byte.
    fn check(pieces: &[(&str, f32)], text: &str, expected: &[u32]) {
        let scored =
            pieces.iter().zip(0..).map(|(&(text, score), id)| (text.to_owned(), ScoredPiece { id, score }));
        let model = SpmModel {
            pieces: scored.collect(),
            texts: Vec::new(),
            ids: HashMap::new(),
            byte_ids: Box::new(std::array::from_fn(|byte| 1000 + u32::try_from(byte).expect("a byte"))),
            leading_space: LeadingSpace::Keep,
        };
        assert_eq!(model.encode(text), expected, "{text:?}");
    }

    #[test]
    fn the_higher_score_merges_first() {
        let pieces = [("a", 0.0), ("b", 0.0), ("c", 0.0), ("ab", -2.0), ("bc", -1.0)];
        check(&pieces, "abc", &[0, 4]);
        check(&pieces, "abab", &[3, 3]);
    }

    #[test]
    fn the_leftmost_of_equals_merges_first() {
        check(&[("a", 0.0), ("aa", -1.0)], "aaa", &[1, 0]);
        check(&[("a", 0.0), ("aa", -1.0), ("aaaa", -2.0)], "aaaaa", &[2, 0]);
    }

    #[test]
    fn what_is_no_token_becomes_bytes() {
        check(&[("a", 0.0)], "aé", &[0, 1000 + 0xc3, 1000 + 0xa9]);
        check(&[("▁", 0.0)], " ", &[0]);
        check(&[], "", &[]);
    }
}
