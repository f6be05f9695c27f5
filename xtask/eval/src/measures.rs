//! What a ranking is worth.

use std::fmt;

/// Means over all questions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Measures {
    /// Share of the relevant passages that come first.
    pub(crate) recall_at_1: f64,
    /// Share of them among the first five.
    pub(crate) recall_at_5: f64,
    /// One by the rank of the first relevant passage; nothing beyond rank ten.
    pub(crate) mrr_at_10: f64,
}

/// Judges rankings, each with the passages that are relevant to its question.
pub(crate) fn judge(judged: &[(Vec<usize>, &[usize])]) -> Measures {
    let mut sum = Measures::default();
    for (ranking, relevant) in judged {
        let found = |len: usize| {
            let num_found = ranking.iter().take(len).filter(|passage| relevant.contains(passage)).count();
            num_found as f64 / relevant.len().max(1) as f64
        };
        sum.recall_at_1 += found(1);
        sum.recall_at_5 += found(5);
        let first = ranking.iter().take(10).position(|passage| relevant.contains(passage));
        sum.mrr_at_10 += first.map_or(0.0, |place| 1.0 / (place + 1) as f64);
    }
    let mean = |sum: f64| sum / judged.len().max(1) as f64;
    Measures {
        recall_at_1: mean(sum.recall_at_1),
        recall_at_5: mean(sum.recall_at_5),
        mrr_at_10: mean(sum.mrr_at_10),
    }
}

impl fmt::Display for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} | {:.4} | {:.4}", self.recall_at_1, self.recall_at_5, self.mrr_at_10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_those_of_their_definitions() {
        let far: Vec<usize> = (10..30).collect();
        let judged: [(Vec<usize>, &[usize]); 4] =
            [(vec![4, 1], &[4]), (vec![1, 2, 4], &[4, 2]), (far, &[20]), (vec![], &[0])];
        let Measures { recall_at_1, recall_at_5, mrr_at_10 } = judge(&judged);
        assert_eq!((recall_at_1, recall_at_5, mrr_at_10), (0.25, 0.5, (1.0 + 0.5) / 4.0));
    }
}
