//! XTC: exclude top choices, sometimes.

use candle_core::Tensor;
use llama_engine::Xtc as Config;

use crate::{
    Distribution, History, Processor, SamplingError, Stream,
    error::in_range,
    row::{rule_out, try_map_row},
    uniform,
};

/// With a certain probability, rules out all tokens that reach a threshold, except the least likely of them (p-e-w,
/// text-generation-webui#6335, 2024). Of equally likely ones the first stays. Acts by a random stream of its own.
#[derive(Clone, Copy, Debug)]
pub struct Xtc {
    config: Config,
    seed: u64,
}

impl Xtc {
    /// `seed` is that of the request.
    ///
    /// # Errors
    /// [`SamplingError::OutOfRange`]; the ranges stand at [`llama_engine::Xtc`].
    pub fn new(config: &Config, seed: u64) -> Result<Self, SamplingError> {
        let Config { probability, threshold } = *config;
        let inside = ((0.0..=1.0).contains(&probability), "from 0 to 1");
        in_range("xtc.probability", probability, inside)?;
        let inside = (threshold > 0.0 && threshold <= 0.5, "above 0 and at most 0.5");
        in_range("xtc.threshold", threshold, inside)?;
        Ok(Self { config: *config, seed })
    }
}

impl Processor for Xtc {
    fn name(&self) -> &'static str {
        "xtc"
    }

    fn process(&mut self, logits: Tensor, history: &History<'_>) -> Result<Tensor, SamplingError> {
        if uniform(self.seed, Stream::XTC, history.draw_idx()) >= f64::from(self.config.probability) {
            return Ok(logits);
        }
        try_map_row(&logits, |row| {
            let distribution = Distribution::from_logits(row)?;
            let threshold = f64::from(self.config.threshold);
            let mut top = distribution.iter().filter(|&(_, probability)| probability >= threshold);
            let Some(mut least) = top.next() else {
                return Ok(());
            };
            for choice in top {
                let excluded =
                    if choice.1 < least.1 { std::mem::replace(&mut least, choice) } else { choice };
                rule_out(row, [excluded.0]);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    fn xtc(probability: f32, threshold: f32) -> Xtc {
        Xtc::new(&Config { probability, threshold }, 5).unwrap()
    }

    proptest! {
        #[test]
        fn keeps_the_least_likely_of_the_top_choices(logits in logits(), threshold in 0.01f32..0.5) {
            let probabilities = softmax(&wide(&logits));
            let mut kept = falling(&probabilities);
            let top: Vec<usize> = kept.iter().copied().filter(|&token| probabilities[token] >= f64::from(threshold)).collect();
            let least = top.last().map(|&last| probabilities[last]);
            let stays = top.iter().copied().find(|&token| Some(probabilities[token]) == least);
            kept.retain(|token| !top.contains(token) || Some(*token) == stays);
            check(xtc(1.0, threshold), (&logits, &NOTHING), &only(&probabilities, &kept))?;
            check(xtc(0.0, threshold), (&logits, &NOTHING), &probabilities)?;
        }
    }

    #[test]
    fn acts_as_often_as_asked_for_and_by_the_number_of_the_token_alone() {
        let answer = [3; 4000];
        let acts = |len: usize| {
            let history = History::new(&answer[..len], 0);
            processed(&mut xtc(0.3, 0.1), &[1.0, 1.0], &history)[1] == f32::NEG_INFINITY
        };
        let count = (0..4000).filter(|&len| acts(len)).count() as f64;
        // Four standard deviations of a binomial distribution.
        assert!((count - 1200.0).abs() < 4.0 * (4000.0f64 * 0.3 * 0.7).sqrt(), "{count}");
        assert!((0..50).all(|len| acts(len) == acts(len)));
    }

    #[test]
    fn ranges_are_checked() {
        for (probability, threshold) in [(-0.1, 0.1), (1.1, 0.1), (f32::NAN, 0.1), (0.5, 0.0), (0.5, 0.6)] {
            assert!(Xtc::new(&Config { probability, threshold }, 0).is_err());
        }
    }
}
