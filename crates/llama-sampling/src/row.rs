//! Logits as slices: what processors share.

use std::cmp::Ordering;

use candle_core::Tensor;

use crate::{Distribution, SamplingError};

/// Minus infinity rules a token out; NaN and plus infinity are faults.
pub(crate) fn check_finite(row: &[f32]) -> Result<(), SamplingError> {
    let is_fault = |logit: f32| logit.is_nan() || logit == f32::INFINITY;
    if !row.iter().fold(false, |found, &logit| found | is_fault(logit)) {
        return Ok(());
    }
    let token = row.iter().position(|&logit| is_fault(logit)).unwrap_or_default();
    Err(SamplingError::NotFinite { token, found: row[token] })
}

/// Applies `change` to the logits as a slice, wherever they live.
///
/// # Shapes
/// `logits`: `[v]`; result: the same.
pub(crate) fn map_row(logits: &Tensor, change: impl FnOnce(&mut [f32])) -> Result<Tensor, SamplingError> {
    try_map_row(logits, |row| {
        change(row);
        Ok(())
    })
}

/// As [`map_row`], with a change that may fail.
pub(crate) fn try_map_row(
    logits: &Tensor,
    change: impl FnOnce(&mut [f32]) -> Result<(), SamplingError>,
) -> Result<Tensor, SamplingError> {
    let v = logits.dims1()?;
    let mut row = logits.to_vec1::<f32>()?;
    change(&mut row)?;
    Ok(Tensor::from_vec(row, v, logits.device())?) // [v]
}

/// Rules out every token that `keep` does not want.
pub(crate) fn retain(row: &mut [f32], keep: impl Fn(f32) -> bool) {
    for logit in row {
        *logit = if keep(*logit) { *logit } else { f32::NEG_INFINITY };
    }
}

/// Rules out tokens; ids past the end are not there anyway.
pub(crate) fn rule_out(row: &mut [f32], tokens: impl IntoIterator<Item = u32>) {
    for token in tokens {
        if let Some(logit) = row.get_mut(token as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// Rules out every token but these.
pub(crate) fn keep_only(row: &mut [f32], tokens: impl IntoIterator<Item = u32>) {
    let kept: Vec<(u32, f32)> =
        tokens.into_iter().filter_map(|token| Some((token, *row.get(token as usize)?))).collect();
    row.fill(f32::NEG_INFINITY);
    kept.into_iter().for_each(|(token, logit)| row[token as usize] = logit);
}

/// The largest logit.
pub(crate) fn maximum(row: &[f32]) -> f32 {
    row.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// The first of the largest logits; `None` if all tokens are ruled out.
pub(crate) fn most_likely(row: &[f32]) -> Option<(u32, f32)> {
    let maximum = maximum(row);
    let token = row.iter().position(|&logit| logit == maximum)?;
    (maximum > f32::NEG_INFINITY).then_some((token as u32, maximum))
}

/// A token that may stay, what it is ordered by, and its probability.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) token: u32,
    pub(crate) key: f64,
    pub(crate) probability: f64,
}

impl Candidate {
    /// By rising key, then by token.
    fn compare(&self, other: &Self) -> Ordering {
        self.key.total_cmp(&other.key).then(self.token.cmp(&other.token))
    }
}

/// The fewest candidates of smallest keys whose probabilities reach `mass`; of equal keys the first tokens. All of them
/// where rounding leaves the sum a little short. Takes linear time on average: only the part that holds the border is
/// ordered further.
pub(crate) fn leading(mut candidates: Vec<Candidate>, mass: f64) -> Vec<Candidate> {
    // The border lies in `start..end`; what is before it, is in and weighs `before`.
    let (mut start, mut end, mut before) = (0, candidates.len(), 0.0);
    while end - start > 1 {
        let middle = (end - start) / 2;
        candidates[start..end].select_nth_unstable_by(middle, Candidate::compare);
        let lower: f64 =
            candidates[start..start + middle].iter().map(|candidate| candidate.probability).sum();
        if before + lower >= mass {
            end = start + middle;
        } else {
            before += lower;
            start += middle;
        }
    }
    candidates.truncate(end);
    candidates
}

/// The candidates of a distribution, ordered by `key` of their probability.
pub(crate) fn candidates(distribution: &Distribution, key: impl Fn(f64) -> f64) -> Vec<Candidate> {
    let candidate = |(token, probability)| Candidate { token, key: key(probability), probability };
    distribution.iter().map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn leading_is_the_shortest_prefix_of_the_sorted(weights in prop::collection::vec(1u32..9, 1..60), mass in 0.0f64..1.2) {
            let distribution = Distribution::from_weights((0..).zip(weights.iter().map(|&weight| f64::from(weight)))).unwrap();
            // Few different keys, so that many are equal.
            let all = candidates(&distribution, |p| (p * 40.0).round());
            let mut sorted = all.clone();
            sorted.sort_by(Candidate::compare);
            let mut sum = 0.0;
            let reaches = sorted.iter().position(|candidate| { sum += candidate.probability; sum >= mass - 1e-12 });
            sorted.truncate(reaches.map_or(sorted.len(), |i| i + 1));
            let mut expected: Vec<u32> = sorted.iter().map(|candidate| candidate.token).collect();
            let mut found: Vec<u32> = leading(all, mass - 1e-12).iter().map(|candidate| candidate.token).collect();
            expected.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn ids_past_the_end_are_not_there() {
        let mut row = [1.0, 2.0, 3.0];
        rule_out(&mut row, [0, 9]);
        assert_eq!(row, [f32::NEG_INFINITY, 2.0, 3.0]);
        keep_only(&mut row, [2, 2, 9]);
        assert_eq!(row, [f32::NEG_INFINITY, f32::NEG_INFINITY, 3.0]);
        assert_eq!(most_likely(&row), Some((2, 3.0)));
        keep_only(&mut row, []);
        assert_eq!(most_likely(&row), None);
    }
}
