//! Mirostat: a text of constant surprise.

use candle_core::Tensor;
use llama_engine::{Mirostat as Config, MirostatVersion};

use crate::{
    Distribution, History, Processor, SamplingError,
    error::in_range,
    row::{keep_largest, largest, maximum, retain_from, try_map_row},
    softmax::Softmax,
};

/// Tokens from which version 1 fits its exponent (m in the paper's algorithm 1).
const NUM_FITTED: usize = 100;

/// Cuts off what surprises by more than mu bits, and moves mu with each token by `eta` times how far its surprise was from
/// `tau` (Basu, Ramachandran, Keskar and Varshney, arXiv:2007.14966; version 1 is algorithm 1, version 2 the simpler form
/// of llama.cpp#1126). mu begins at 2 tau. The surprise is that of the distribution before the cut, as in the paper;
/// llama.cpp takes it after the cut.
#[derive(Clone, Debug)]
pub struct Mirostat {
    version: MirostatVersion,
    tau: f64,
    eta: f64,
    mu: f64,
    /// What the last cut was made from.
    seen: Option<Distribution>,
}

impl Mirostat {
    /// # Errors
    /// [`SamplingError::OutOfRange`]; the ranges stand at [`llama_engine::Mirostat`].
    pub fn new(config: &Config) -> Result<Self, SamplingError> {
        let Config { version, tau, eta } = *config;
        in_range("mirostat.tau", tau, (tau.is_finite() && tau > 0.0, "a finite number above 0"))?;
        in_range("mirostat.eta", eta, (eta > 0.0 && eta <= 1.0, "above 0 and at most 1"))?;
        let tau = f64::from(tau);
        Ok(Self { version, tau, eta: eta.into(), mu: 2.0 * tau, seen: None })
    }

    /// How many tokens version 1 keeps of `v`.
    fn num_kept(&self, row: &[f32]) -> usize {
        let (s, v) = (zipf_exponent(row), row.len());
        let epsilon = s - 1.0;
        // epsilon / (1 - v^-epsilon), which is 1 / ln v where epsilon vanishes.
        let scale = match epsilon.abs() < 1e-9 {
            true => 1.0 / (v as f64).ln(),
            false => epsilon / (1.0 - (v as f64).powf(-epsilon)),
        };
        let k = (scale * self.mu.exp2()).powf(1.0 / s).round();
        // A distribution that does not fall has no exponent, and its k is no number: then nothing is cut off.
        if k.is_nan() { v } else { k.clamp(1.0, v as f64) as usize }
    }
}

impl Processor for Mirostat {
    fn name(&self) -> &'static str {
        "mirostat"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        let processed = try_map_row(&logits, |row| {
            let Softmax { distribution, log_normaliser } = Softmax::new(row)?;
            match self.version {
                MirostatVersion::One => keep_largest(row, self.num_kept(row)),
                // -log2 p <= mu, and the most likely ones in any case.
                MirostatVersion::Two => {
                    let threshold = log_normaliser - self.mu * std::f64::consts::LN_2;
                    retain_from(row, threshold.min(maximum(row).into()));
                }
            }
            self.seen = Some(distribution);
            Ok(())
        })?;
        Ok(processed)
    }

    fn accept(&mut self, token: u32) -> Result<(), SamplingError> {
        if let Some(seen) = self.seen.take() {
            let surprise = -seen.probability(token).log2();
            // A token that somebody else has chosen may be impossible here, and teaches nothing.
            if surprise.is_finite() {
                self.mu -= self.eta * (surprise - self.tau);
            }
        }
        Ok(())
    }
}

/// The exponent s of a Zipf distribution p(i) ~ i^-s, fitted to the most likely tokens by least squares (equation 28). The
/// difference of two logits is ln (p(i) / p(j)).
fn zipf_exponent(row: &[f32]) -> f64 {
    let falling: Vec<f64> =
        largest(row, NUM_FITTED + 1).into_iter().map(|token| row[token as usize].into()).collect();
    let (mut products, mut squares) = (0.0, 0.0);
    for (i, pair) in falling.windows(2).enumerate() {
        let t = ((i + 2) as f64 / (i + 1) as f64).ln();
        products += t * (pair[0] - pair[1]);
        squares += t * t;
    }
    products / squares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    fn mirostat(version: MirostatVersion, tau: f32) -> Mirostat {
        Mirostat::new(&Config { version, tau, eta: 0.1 }).unwrap()
    }

    proptest! {
        #[test]
        fn version_two_keeps_what_surprises_little_enough(logits in logits(), tau in 0.05f32..4.0) {
            let probabilities = softmax(&wide(&logits));
            let possible = falling(&probabilities);
            let expected = |&token: &usize| 1.0 / probabilities[token] <= (2.0 * f64::from(tau)).exp2();
            let is_best = |&token: &usize| probabilities[token] == probabilities[possible[0]];
            let kept: Vec<usize> =
                possible.iter().copied().filter(|token| expected(token) || is_best(token)).collect();
            check(mirostat(MirostatVersion::Two, tau), (&logits, &NOTHING), &only(&probabilities, &kept))?;
        }

        #[test]
        fn version_one_keeps_what_the_fit_says(logits in logits(), tau in 0.05f32..4.0) {
            let probabilities = softmax(&wide(&logits));
            let order = falling(&probabilities);
            let v = logits.len() as f64;
            let ranks = 1..order.len();
            let t = |i: usize| ((i + 1) as f64).ln() - (i as f64).ln();
            let b = |i: usize| probabilities[order[i - 1]].ln() - probabilities[order[i]].ln();
            let s = ranks.clone().map(|i| t(i) * b(i)).sum::<f64>() / ranks.map(|i| t(i).powi(2)).sum::<f64>();
            prop_assume!(s.is_nan() || (s > 1e-3 && (s - 1.0).abs() > 1e-3));
            let k = ((s - 1.0) * (2.0 * f64::from(tau)).exp2() / (1.0 - v.powf(1.0 - s))).powf(1.0 / s);
            // Half-way between two counts, rounding decides.
            prop_assume!(k.is_nan() || (k.fract() - 0.5).abs() > 1e-9);
            let k = if k.is_nan() { v } else { k.round().clamp(1.0, v) } as usize;
            check(mirostat(MirostatVersion::One, tau), (&logits, &NOTHING), &only(&probabilities, &order[..k.min(order.len())]))?;
        }

        /// The limit follows the surprise of what was accepted, and of nothing else.
        #[test]
        fn the_limit_follows_the_surprise(logits in logits(), tau in 0.5f32..4.0, tokens in prop::collection::vec(0usize..50, 1..9)) {
            let probabilities = softmax(&wide(&logits));
            let mut processor = mirostat(MirostatVersion::Two, tau);
            let mut mu = 2.0 * f64::from(tau);
            for token in tokens {
                processed(&mut processor, &logits, &NOTHING);
                let mut tried = processor.clone();
                tried.accept(0).unwrap();
                processed(&mut processor, &logits, &NOTHING);
                processor.accept(token as u32).unwrap();
                if let Some(&probability) = probabilities.get(token).filter(|p| **p > 0.0) {
                    mu -= f64::from(0.1f32) * ((1.0 / probability).log2() - f64::from(tau));
                }
                prop_assert!((processor.mu - mu).abs() < 1e-9, "{} instead of {}", processor.mu, mu);
            }
        }
    }

    /// Draws from a long-tailed distribution: the mean surprise comes to tau.
    fn check_surprise(version: MirostatVersion) {
        let logits: Vec<f32> = (1..2000).map(|rank| -1.1 * (rank as f32).ln()).collect();
        let model = Distribution::from_logits(&logits).unwrap();
        let mut processor = Mirostat::new(&Config { version, tau: 3.0, eta: 0.1 }).unwrap();
        let mut total = 0.0;
        for i in 0..3000 {
            let row = processed(&mut processor, &logits, &NOTHING);
            let token =
                Distribution::from_logits(&row).unwrap().draw(crate::uniform(7, crate::Stream::TOKEN, i));
            processor.accept(token).unwrap();
            total -= model.probability(token).log2();
        }
        let mean = total / 3000.0;
        assert!((mean - 3.0).abs() < 0.05, "{version:?}: {mean} bits");
    }

    #[test]
    fn the_mean_surprise_is_held() {
        check_surprise(MirostatVersion::One);
        check_surprise(MirostatVersion::Two);
    }

    #[test]
    fn ranges_are_checked() {
        for (tau, eta) in [(0.0, 0.1), (f32::INFINITY, 0.1), (5.0, 0.0), (5.0, 1.1), (5.0, f32::NAN)] {
            assert!(Mirostat::new(&Config { tau, eta, ..Config::default() }).is_err());
        }
    }
}
