//! Reciprocal-rank fusion: several rankings to one.
//!
//! Only ranks enter, so scores need no common scale: each list gives `1 / (60 + rank)` to what it holds (Cormack, Clarke and Büttcher,
//! SIGIR 2009).

use std::collections::BTreeMap;

use crate::top::{Scored, Top};

/// How little the first ranks differ.
const K: f32 = 60.0;

/// The best of all rankings, best first; of equals the one with the lower row. Each ranking is best first, without repetition.
pub fn fuse(rankings: &[Vec<u32>], num_rows: usize) -> Vec<(u32, f32)> {
    let mut scores: BTreeMap<u32, f32> = BTreeMap::new();
    for ranking in rankings {
        for (i, row) in ranking.iter().enumerate() {
            *scores.entry(*row).or_default() += 1.0 / (K + 1.0 + i as f32);
        }
    }
    let mut top = Top::new(num_rows);
    scores.into_iter().for_each(|(row, score)| top.push(Scored { row, score }));
    top.into_sorted().into_iter().map(|scored| (scored.row, scored.score)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_rank_well_comes_first() {
        let fused = fuse(&[vec![7, 1, 2], vec![2, 7, 9]], 9);
        let rows: Vec<u32> = fused.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows, [7, 2, 1, 9]);
        assert_eq!(fused[0].1, 1.0 / 61.0 + 1.0 / 62.0);
        assert_eq!(fuse(&[vec![4, 3], vec![3, 4]], 1), [(3, 1.0 / 61.0 + 1.0 / 62.0)], "a tie");
        assert!(fuse(&[vec![], vec![]], 9).is_empty());
    }
}
