//! Medians and ratios of paired runs.

/// How one side's figures compare with the other's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Comparison {
    /// Median of ours.
    pub(super) ours: f64,
    /// Median of the peer's.
    pub(super) peers: f64,
    /// Median of the pairs' ratios, ours over the peer's: what was slow for both falls out of it.
    pub(super) ratio: f64,
    /// The lowest and the highest of those ratios.
    pub(super) spread: (f64, f64),
}

impl Comparison {
    /// # Panics
    /// Without pairs.
    pub(super) fn of(pairs: &[(f64, f64)]) -> Self {
        let ratios: Vec<f64> = pairs.iter().map(|(ours, peers)| ours / peers).collect();
        Self {
            ours: median(pairs.iter().map(|pair| pair.0)),
            peers: median(pairs.iter().map(|pair| pair.1)),
            ratio: median(ratios.iter().copied()),
            spread: (
                ratios.iter().copied().fold(f64::INFINITY, f64::min),
                ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ),
        }
    }
}

/// The middle value, or the mean of the two middle ones.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    assert!(!sorted.is_empty(), "a median needs values");
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_median(values: &[f64], expected: f64) {
        assert_eq!(median(values.iter().copied()), expected, "{values:?}");
    }

    #[test]
    fn medians() {
        check_median(&[3.0], 3.0);
        check_median(&[9.0, 1.0, 2.0], 2.0);
        check_median(&[4.0, 1.0, 100.0, 2.0], 3.0);
    }

    #[test]
    fn a_ratio_is_that_of_pairs() {
        // In the second pair both ran at half speed.
        let compared = Comparison::of(&[(10.0, 5.0), (5.0, 2.5), (12.0, 4.0)]);
        let expected = Comparison { ours: 10.0, peers: 4.0, ratio: 2.0, spread: (2.0, 3.0) };
        assert_eq!(compared, expected);
    }
}
