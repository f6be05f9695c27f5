//! Drafts from what was said before: where the last tokens stood already, what followed then may follow now.
//!
//! After prompt lookup decoding (Saxena, 2023) and LLMA (Yang et al., arXiv:2304.04487). It keeps nothing: each draft is
//! looked up anew, in time linear in the sequence.

use super::{Draft, DraftError, Drafter};

/// Looks drafts up in prompt and answer. No model, hardly any time: for answers that quote, edit or repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptLookup {
    /// Fewest last tokens that must have stood elsewhere; at least 1.
    pub min_match_len: usize,
    /// Most last tokens that are compared; at least as many.
    pub max_match_len: usize,
}

impl Default for PromptLookup {
    fn default() -> Self {
        Self { min_match_len: 2, max_match_len: 16 }
    }
}

impl PromptLookup {
    /// Where the continuation of the longest earlier match begins; of equally long ones, the last.
    fn find(&self, tokens: &[u32]) -> Option<usize> {
        let (&last, _) = tokens.split_last()?;
        let (mut best, mut best_len) = (None, self.min_match_len.max(1) - 1);
        for end in (1..tokens.len()).rev().filter(|end| tokens[end - 1] == last) {
            let pairs = tokens[..end].iter().rev().zip(tokens.iter().rev());
            let len = pairs.take(self.max_match_len).take_while(|(a, b)| a == b).count();
            if len > best_len {
                (best, best_len) = (Some(end), len);
            }
            if best_len >= self.max_match_len {
                break;
            }
        }
        best
    }
}

impl Drafter for PromptLookup {
    fn name(&self) -> &'static str {
        "prompt lookup"
    }

    fn extend(&mut self, drafts: &mut [Draft]) -> Result<(), DraftError> {
        for draft in drafts {
            let Some(start) = self.find(draft.tokens()) else {
                continue;
            };
            // Past the end of what is known, a repetition goes on with what it has just drafted.
            let mut next = start;
            while draft.wants_more() && draft.push(draft.tokens()[next]) {
                next += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tokens: &[u32], expected: Option<usize>) {
        let lookup = PromptLookup { min_match_len: 2, max_match_len: 4 };
        assert_eq!(lookup.find(tokens), expected, "{tokens:?}");
    }

    #[test]
    fn the_longest_earlier_match_is_continued() {
        check(&[1, 2, 3, 9, 2, 3], Some(3));
        check(&[1, 2, 3, 8, 7, 2, 3, 9, 1, 2, 3], Some(3));
    }

    #[test]
    fn of_equal_matches_the_last_is_continued() {
        check(&[2, 3, 8, 2, 3, 9, 2, 3], Some(5));
    }

    #[test]
    fn matches_may_overlap_with_what_they_match() {
        check(&[5, 5, 5], Some(2));
        check(&[1, 2, 1, 2, 1, 2], Some(4));
    }

    #[test]
    fn a_match_that_is_too_short_is_none() {
        check(&[1, 3, 2, 3], None);
        check(&[3, 3], None);
        check(&[3], None);
        check(&[], None);
    }

    #[test]
    fn the_search_ends_with_a_match_that_is_long_enough() {
        check(&[0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 6, 0, 1, 2, 3, 4], Some(10));
    }
}
