//! What the processors' tests share: a plain f64 view of logits, and the comparison with it.

use candle_core::{Device, Tensor};
use proptest::prelude::*;

use crate::{Distribution, History, Processor};

/// No tokens at all.
pub(super) const NOTHING: History<'static> = History::EMPTY;

/// Logits of small vocabularies: any numbers, many equal ones, and some tokens that are ruled out already.
pub(super) fn logits() -> impl Strategy<Value = Vec<f32>> {
    let logit = prop_oneof![
        6 => -9f32..9.0,
        3 => (-8i8..8).prop_map(|quarters| f32::from(quarters) / 4.0),
        1 => Just(f32::NEG_INFINITY),
    ];
    let is_possible = |row: &Vec<f32>| row.iter().any(|logit| logit.is_finite());
    prop::collection::vec(logit, 1..50).prop_filter("one token must be possible", is_possible)
}

/// The row that a processor gives.
pub(super) fn processed(processor: &mut dyn Processor, logits: &[f32], history: &History<'_>) -> Vec<f32> {
    let logits = Tensor::new(logits, &Device::Cpu).unwrap();
    processor.process(logits, history).unwrap().to_vec1().unwrap()
}

/// The tokens that a processor leaves.
pub(super) fn survivors(mut processor: impl Processor, logits: &[f32]) -> Vec<usize> {
    let row = processed(&mut processor, logits, &NOTHING);
    (0..row.len()).filter(|&token| row[token] > f32::NEG_INFINITY).collect()
}

/// Logits as f64.
pub(super) fn wide(logits: &[f32]) -> Vec<f64> {
    logits.iter().map(|&logit| f64::from(logit)).collect()
}

/// Probabilities, by the definition.
pub(super) fn softmax(logits: &[f64]) -> Vec<f64> {
    let maximum = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|logit| (logit - maximum).exp()).sum();
    logits.iter().map(|logit| (logit - maximum).exp() / total).collect()
}

/// Tokens by falling probability; of equals the first. Without those that are impossible.
pub(super) fn falling(probabilities: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> =
        (0..probabilities.len()).filter(|&token| probabilities[token] > 0.0).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order
}

/// Probabilities of which only those of `kept` tokens are left, normalised.
pub(super) fn only(probabilities: &[f64], kept: &[usize]) -> Vec<f64> {
    let total: f64 = kept.iter().map(|&token| probabilities[token]).sum();
    let mut left = vec![0.0; probabilities.len()];
    kept.iter().for_each(|&token| left[token] = probabilities[token] / total);
    left
}

/// Compares what a processor gives with probabilities that were computed plainly: the same support, the same order, the
/// same values but for the rounding of logits to f32, and a total of 1.
pub(super) fn check(
    mut processor: impl Processor + Clone,
    (logits, history): (&[f32], &History<'_>),
    expected: &[f64],
) -> Result<(), TestCaseError> {
    let row = processed(&mut processor, logits, history);
    let again = processed(&mut processor.clone(), logits, history);
    prop_assert_eq!(&row, &again, "asked a second time");
    let found = Distribution::from_logits(&row).unwrap();
    let total: f64 = found.iter().map(|(_, probability)| probability).sum();
    prop_assert!((total - 1.0).abs() < 1e-12, "total {}", total);
    for (token, &expected) in expected.iter().enumerate() {
        let probability = found.probability(token as u32);
        prop_assert_eq!(row[token] > f32::NEG_INFINITY, expected > 0.0, "support at {}: {:?}", token, row);
        prop_assert!(
            (probability - expected).abs() < 1e-5,
            "token {}: {} instead of {}",
            token,
            probability,
            expected
        );
    }
    for (a, b) in (0..row.len()).flat_map(|a| (0..row.len()).map(move |b| (a, b))) {
        if expected[a] > expected[b] * 1.0001 {
            prop_assert!(row[a] > row[b], "order of {} and {}: {:?}", a, b, row);
        }
    }
    Ok(())
}
