//! [`WordIndex`]: which chunks use the words of a question (BM25).
//!
//! An inverted index in memory, made again from the stored chunks when a store is opened, and kept up with every change. Scores are
//! those of Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), eq. 3.15, with the idf of Lucene, which is never
//! negative. Words are runs of letters and digits, in lower case; a character of a script that is written without spaces is a word
//! of its own. There is no stemming and there are no stop words: both depend on the language.

use std::collections::HashMap;

use crate::top::{Scored, Top};

/// How fast a word's weight saturates with its count.
const K1: f32 = 1.2;
/// How much long chunks are marked down.
const B: f32 = 0.75;

/// An inverted index. Rows are numbered in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct WordIndex {
    postings: HashMap<String, Vec<Posting>>,
    /// Words of each row.
    lens: Vec<u32>,
    num_words: u64,
}

/// A row that uses a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Posting {
    row: u32,
    count: u32,
}

impl WordIndex {
    /// Appends a row.
    pub fn push(&mut self, text: &str) {
        let row = self.lens.len() as u32;
        let mut num_words = 0;
        for_words(text, |word| {
            num_words += 1;
            match self.postings.get_mut(word) {
                Some(postings) => count(postings, row),
                None => {
                    self.postings.insert(word.to_owned(), vec![Posting { row, count: 1 }]);
                }
            }
        });
        self.lens.push(num_words);
        self.num_words += u64::from(num_words);
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.lens.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lens.is_empty()
    }

    /// Drops the rows for which `keep` says so, and numbers the others anew, in their order.
    pub fn retain(&mut self, keep: &[bool]) {
        let mut next = 0;
        let places: Vec<Option<u32>> = keep
            .iter()
            .map(|keep| {
                keep.then(|| {
                    next += 1;
                    next - 1
                })
            })
            .collect();
        self.postings.retain(|_, postings| {
            postings.retain_mut(|posting| {
                places[posting.row as usize].is_some_and(|row| {
                    posting.row = row;
                    true
                })
            });
            !postings.is_empty()
        });
        let mut row = 0;
        self.lens.retain(|_| {
            row += 1;
            keep[row - 1]
        });
        self.num_words = self.lens.iter().map(|len| u64::from(*len)).sum();
    }

    /// The best rows among those that `allowed` covers, best first; of equals the earlier one. Rows without any word of the question
    /// are not found.
    pub fn search(&self, question: &str, num_rows: usize, allowed: impl Fn(u32) -> bool) -> Vec<(u32, f32)> {
        let mut scores = vec![0.0f32; self.lens.len()];
        let mean_len = self.num_words as f32 / self.lens.len().max(1) as f32;
        for (word, weight) in words_in_order(question) {
            let Some(postings) = self.postings.get(&word) else { continue };
            let weight = weight as f32 * self.idf(postings.len());
            for Posting { row, count } in postings {
                let len = self.lens[*row as usize] as f32;
                let count = *count as f32;
                scores[*row as usize] +=
                    weight * count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * len / mean_len));
            }
        }
        let mut top = Top::new(num_rows);
        for (row, score) in (0..).zip(scores) {
            if score > 0.0 && allowed(row) {
                top.push(Scored { row, score });
            }
        }
        top.into_sorted().into_iter().map(|scored| (scored.row, scored.score)).collect()
    }

    /// How much a word says that stands in so many rows.
    fn idf(&self, num_rows_with: usize) -> f32 {
        let (all, with) = (self.lens.len() as f32, num_rows_with as f32);
        (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
    }
}

/// Counts one more word of the row, which is the last if it is there at all.
fn count(postings: &mut Vec<Posting>, row: u32) {
    match postings.last_mut() {
        Some(last) if last.row == row => last.count += 1,
        _ => postings.push(Posting { row, count: 1 }),
    }
}

/// The distinct words, in the order in which they first appear, and how often each does: sums are in a fixed order.
fn words_in_order(text: &str) -> Vec<(String, u32)> {
    let mut words: Vec<(String, u32)> = Vec::new();
    for_words(text, |word| match words.iter_mut().find(|(known, _)| known == word) {
        Some((_, count)) => *count += 1,
        None => words.push((word.to_owned(), 1)),
    });
    words
}

fn for_words(text: &str, mut visit: impl FnMut(&str)) {
    let mut word = String::new();
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            visit(word);
            word.clear();
        }
    };
    for character in text.chars() {
        if !character.is_alphanumeric() {
            end(&mut word);
        } else if stands_alone(character) {
            end(&mut word);
            word.push(character);
            end(&mut word);
        } else {
            word.extend(character.to_lowercase());
        }
    }
    end(&mut word);
}

/// Whether the character is of a script that is written without spaces: Thai to Khmer, kana and Han.
fn stands_alone(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF
        | 0x2_0000..=0x3_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 5] = [
        "The Moon pulls the sea.",
        "The Sun warms the air, and the air moves.",
        "Moon, moon, MOON!",
        "潮汐は月の引力で起こる",
        "",
    ];

    fn index() -> WordIndex {
        let mut index = WordIndex::default();
        TEXTS.iter().for_each(|text| index.push(text));
        index
    }

    fn rows(found: &[(u32, f32)]) -> Vec<u32> {
        found.iter().map(|(row, _)| *row).collect()
    }

    #[test]
    fn rows_with_rarer_and_more_frequent_words_come_first() {
        let index = index();
        assert_eq!(rows(&index.search("moon", 9, |_| true)), [2, 0]);
        assert_eq!(rows(&index.search("What warms the air?", 9, |_| true)), [1, 0]);
        assert_eq!(rows(&index.search("月", 9, |_| true)), [3]);
        assert_eq!(rows(&index.search("moon", 1, |_| true)), [2]);
        assert_eq!(rows(&index.search("moon", 9, |row| row != 2)), [0]);
        assert!(index.search("volcano", 9, |_| true).is_empty());
        assert!(index.search("", 9, |_| true).is_empty());
        assert!(WordIndex::default().search("moon", 9, |_| true).is_empty());
    }

    #[test]
    fn scores_are_those_of_the_formula() {
        let found = index().search("sea", 1, |_| true);
        // One of five rows has it; 5 words, of 5 + 9 + 3 + 11 + 0 = 28 in 5 rows.
        let idf = (1.0f32 + 4.5 / 1.5).ln();
        let expected = idf * 2.2 / (1.0 + 1.2 * (0.25 + 0.75 * 5.0 / 5.6));
        assert!((found[0].1 - expected).abs() < 1e-6, "{found:?}, expected {expected}");
    }

    #[test]
    fn rows_that_go_leave_the_index_that_the_others_make() {
        let mut index = index();
        index.retain(&[false, true, true, false, true]);
        let mut others = WordIndex::default();
        [1, 2, 4].into_iter().for_each(|i: usize| others.push(TEXTS[i]));
        assert_eq!(
            (&index.postings, &index.lens, index.num_words),
            (&others.postings, &others.lens, others.num_words)
        );
    }
}
