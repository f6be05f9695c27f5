//! Logits as slices: what processors share.

use std::cmp::Ordering;

use candle_core::Tensor;

use crate::SamplingError;

/// Logits that are looked at side by side.
const LANES: usize = 16;

/// Minus infinity rules a token out; NaN and plus infinity are faults.
pub(crate) fn check_finite(row: &[f32]) -> Result<(), SamplingError> {
    let is_fault = |logit: f32| logit.is_nan() || logit == f32::INFINITY;
    if !row.iter().fold(false, |found, &logit| found | is_fault(logit)) {
        return Ok(());
    }
    let token = row.iter().position(|&logit| is_fault(logit)).unwrap_or_default();
    Err(SamplingError::NotFinite { token, found: row[token] })
}

/// Applies `change` to the logits as a slice, wherever they live. Broken ones are refused: a change that rules tokens out
/// would hide them.
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
    check_finite(&row)?;
    change(&mut row)?;
    Ok(Tensor::from_vec(row, v, logits.device())?) // [v]
}

/// Rules out every token whose logit is below `threshold`.
pub(crate) fn retain_from(row: &mut [f32], threshold: f64) {
    // The smallest f32 that is not below, so that the comparison stays in f32.
    let rounded = threshold as f32;
    let threshold = if f64::from(rounded) < threshold { rounded.next_up() } else { rounded };
    for logit in row {
        *logit = if *logit >= threshold { *logit } else { f32::NEG_INFINITY };
    }
}

/// Rules out all but the `k` largest logits, of equal ones the first.
pub(crate) fn keep_largest(row: &mut [f32], k: usize) {
    let Some(last) = kth_largest(row, k) else {
        return;
    };
    retain_from(row, last.into());
    let num_left = row.iter().filter(|&&logit| logit >= last).count();
    let equal = row.iter_mut().rev().filter(|logit| **logit == last);
    equal.take(num_left - k).for_each(|logit| *logit = f32::NEG_INFINITY);
}

/// The tokens with the `k` largest logits, falling, of equal ones the first; fewer if fewer are not ruled out.
pub(crate) fn largest(row: &[f32], k: usize) -> Vec<u32> {
    let last = kth_largest(row, k).unwrap_or(f32::MIN);
    let mut tokens: Vec<u32> = (0..row.len() as u32).filter(|&token| row[token as usize] >= last).collect();
    tokens.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize])); // stable: the first of equals
    tokens.truncate(k);
    tokens
}

/// The `k`-th largest logit; `None` if fewer are not ruled out. In linear time, and for a small `k` in little more than
/// one look at each: most logits are below the best `k` of those before them.
fn kth_largest(row: &[f32], k: usize) -> Option<f32> {
    if k == 0 {
        return Some(f32::INFINITY);
    }
    let capacity = k.saturating_mul(2).clamp(1024, row.len().max(1024));
    let (mut top, mut floor) = (Vec::with_capacity(capacity), f32::NEG_INFINITY);
    for &logit in row {
        if logit > floor {
            top.push(logit);
            if top.len() == capacity && k < capacity {
                floor = *top.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1;
                top.truncate(k);
            }
        }
    }
    (k <= top.len()).then(|| *top.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1)
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
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &logit)| *lane = larger(*lane, logit));
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

/// The tokens that are not ruled out, with their logits. Skips quickly what is.
pub(crate) fn possible(row: &[f32]) -> impl Iterator<Item = (u32, f32)> + '_ {
    let chunks = row.chunks(LANES).enumerate().filter(|(_, chunk)| maximum(chunk) > f32::NEG_INFINITY);
    let entries = chunks.flat_map(|(i, chunk)| ((i * LANES) as u32..).zip(chunk.iter().copied()));
    entries.filter(|&(_, logit)| logit > f32::NEG_INFINITY)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn leading_is_the_shortest_prefix_of_the_sorted(
            weights in prop::collection::vec(1u32..9, 1..60),
            mass in 0.0f64..1.2,
        ) {
            let total: u32 = weights.iter().sum();
            let candidate = |(token, &weight): (u32, &u32)| {
                let probability = f64::from(weight) / f64::from(total);
                // Few different keys, so that many are equal.
                Candidate { token, key: f64::from(weight / 3), probability }
            };
            let all: Vec<Candidate> = (0..).zip(&weights).map(candidate).collect();
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

    proptest! {
        #[test]
        fn the_largest_are_those_of_a_full_sort(
            row in prop::collection::vec(prop_oneof![Just(f32::NEG_INFINITY), (-20i8..20).prop_map(f32::from)], 1..3000),
            k in 1usize..1500,
        ) {
            let mut order: Vec<u32> = (0..row.len() as u32).filter(|&token| row[token as usize].is_finite()).collect();
            order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
            order.truncate(k);
            prop_assert_eq!(&largest(&row, k), &order);
            let mut kept = row.clone();
            keep_largest(&mut kept, k);
            for (token, (&before, &after)) in (0..).zip(row.iter().zip(&kept)) {
                prop_assert_eq!(after, if order.contains(&token) { before } else { f32::NEG_INFINITY });
            }
        }

        #[test]
        fn thresholds_are_kept_between_two_f32(logit in -9f32..9.0) {
            let mut row = [logit, logit.next_down()];
            let middle = (f64::from(row[0]) + f64::from(row[1])) / 2.0;
            retain_from(&mut row, middle);
            prop_assert_eq!(row, [logit, f32::NEG_INFINITY]);
            retain_from(&mut row, logit.into());
            prop_assert_eq!(row[0], logit);
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
