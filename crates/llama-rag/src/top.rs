//! [`Top`]: the best of many scores, in an order that depends on nothing else.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

/// A row and how well it fits. Better ones are greater; of equals the one with the lower row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scored {
    /// Place in the index.
    pub(crate) row: u32,
    /// Higher is better.
    pub(crate) score: f32,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scored {}

/// Keeps the best `len` of what it is shown.
pub(crate) struct Top {
    len: usize,
    kept: BinaryHeap<Reverse<Scored>>,
}

impl Top {
    pub(crate) fn new(len: usize) -> Self {
        Self { len, kept: BinaryHeap::new() }
    }

    pub(crate) fn push(&mut self, scored: Scored) {
        if self.kept.len() < self.len {
            self.kept.push(Reverse(scored));
        } else if let Some(mut worst) = self.kept.peek_mut()
            && scored > worst.0
        {
            *worst = Reverse(scored);
        }
    }

    /// The best first.
    pub(crate) fn into_sorted(self) -> Vec<Scored> {
        self.kept.into_sorted_vec().into_iter().map(|Reverse(scored)| scored).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_best_and_breaks_ties_by_row() {
        let scores = [0.5, -1.0, 0.5, 2.0, 0.0, 0.5];
        for len in 0..8 {
            let mut top = Top::new(len);
            for row in [5, 0, 3, 1, 4, 2] {
                top.push(Scored { row, score: scores[row as usize] });
            }
            let rows: Vec<u32> = top.into_sorted().iter().map(|scored| scored.row).collect();
            assert_eq!(rows, [3, 0, 2, 5, 4, 1][..len.min(6)]);
        }
    }
}
