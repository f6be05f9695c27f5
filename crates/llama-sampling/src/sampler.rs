//! The processors of one request, and the draw.

use candle_core::Tensor;

use crate::{
    Distribution, History, Processor, SamplerConfig, SamplingError, Stream, standard_processors, uniform,
};

/// Chooses tokens for one request. Which token depends on the logits, the history and the seed alone; what processors
/// remember follows from the tokens accepted.
#[derive(Clone)]
pub struct Sampler {
    processors: Vec<Box<dyn Processor>>,
    choice: Choice,
    seed: u64,
}

/// How a token is taken from the processed logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    MostLikely,
    Draw,
}

impl Sampler {
    /// The standard processors; temperature 0 is greedy.
    ///
    /// # Errors
    /// [`SamplingError::OutOfRange`]
    pub fn new(config: &SamplerConfig) -> Result<Self, SamplingError> {
        let choice = if config.temperature == 0.0 { Choice::MostLikely } else { Choice::Draw };
        Ok(Self { processors: standard_processors(config)?, choice, seed: config.seed })
    }

    /// Processors of your own, applied in order, and a random draw.
    pub fn with_processors(processors: Vec<Box<dyn Processor>>, seed: u64) -> Self {
        Self { processors, choice: Choice::Draw, seed }
    }

    /// The next token. It is not accepted yet.
    ///
    /// # Shapes
    /// `logits`: `[v]` in f32.
    ///
    /// # Errors
    /// [`SamplingError::NotFinite`] for broken logits, [`SamplingError::NoCandidate`] if all are ruled out.
    pub fn sample(&mut self, logits: &Tensor, history: &History<'_>) -> Result<u32, SamplingError> {
        let (row, (best, maximum)) = self.processed(logits, history)?;
        match self.choice {
            Choice::MostLikely => Ok(best),
            Choice::Draw => {
                let u = self.uniform(Stream::TOKEN, history.draw_idx());
                Ok(Distribution::from_logits(&row, maximum)?.draw(u))
            }
        }
    }

    /// What [`Sampler::sample`] draws from: one certain token for a greedy sampler.
    ///
    /// # Shapes
    /// `logits`: `[v]` in f32.
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    pub fn distribution(
        &mut self,
        logits: &Tensor,
        history: &History<'_>,
    ) -> Result<Distribution, SamplingError> {
        let (row, (best, maximum)) = self.processed(logits, history)?;
        match self.choice {
            Choice::MostLikely => Ok(Distribution::certain(best)),
            Choice::Draw => Distribution::from_logits(&row, maximum),
        }
    }

    /// Notes that `token` follows the history which was given last. Tokens that are only tried are accepted by a clone.
    ///
    /// # Errors
    /// The processors' own.
    pub fn accept(&mut self, token: u32) -> Result<(), SamplingError> {
        self.processors.iter_mut().try_for_each(|processor| processor.accept(token))
    }

    /// A number of one of this request's random streams, see [`uniform`].
    pub fn uniform(&self, stream: Stream, draw_idx: u64) -> f64 {
        uniform(self.seed, stream, draw_idx)
    }

    /// The logits after all processors, and the best of them.
    fn processed(
        &mut self,
        logits: &Tensor,
        history: &History<'_>,
    ) -> Result<(Vec<f32>, (u32, f32)), SamplingError> {
        let mut processed = logits.clone();
        if !self.processors.is_empty() {
            check_finite(&logits.to_vec1::<f32>()?)?;
        }
        for processor in &mut self.processors {
            processed = processor.process(processed, history)?;
        }
        let row = processed.to_vec1::<f32>()?; // [v]
        check_finite(&row)?;
        let best = most_likely(&row).ok_or(SamplingError::NoCandidate)?;
        Ok((row, best))
    }
}

/// Minus infinity rules a token out; NaN and plus infinity are faults.
fn check_finite(row: &[f32]) -> Result<(), SamplingError> {
    let is_fault = |logit: f32| logit.is_nan() || logit == f32::INFINITY;
    if !row.iter().fold(false, |found, &logit| found | is_fault(logit)) {
        return Ok(());
    }
    let token = row.iter().position(|&logit| is_fault(logit)).unwrap_or_default();
    Err(SamplingError::NotFinite { token, found: row[token] })
}

/// The first of the largest logits.
fn most_likely(row: &[f32]) -> Option<(u32, f32)> {
    let maximum = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let token = row.iter().position(|&logit| logit == maximum)?;
    (maximum > f32::NEG_INFINITY).then_some((token as u32, maximum))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn sample(config: &SamplerConfig, logits: &[f32], draw_idx: u64) -> Result<u32, SamplingError> {
        let answer = vec![0; draw_idx as usize];
        let logits = Tensor::new(logits, &Device::Cpu).unwrap();
        Sampler::new(config)?.sample(&logits, &History::new(&answer, 0))
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        assert_eq!(sample(&SamplerConfig::default(), &[1.0, 4.0, 4.0], 0).unwrap(), 1);
    }

    #[test]
    fn broken_logits_are_refused() {
        for config in [SamplerConfig::default(), SamplerConfig { temperature: 1.0, ..Default::default() }] {
            let error = sample(&config, &[0.0, f32::NAN], 0).unwrap_err();
            assert_eq!(error.to_string(), "the logit of token 1 is NaN");
            assert!(matches!(sample(&config, &[f32::INFINITY], 0), Err(SamplingError::NotFinite { .. })));
            let nothing = sample(&config, &[f32::NEG_INFINITY; 3], 0);
            assert!(nothing.is_err());
        }
    }

    #[test]
    fn out_of_range_values_say_the_range() {
        let config = SamplerConfig { temperature: -1.0, ..Default::default() };
        let error = sample(&config, &[0.0], 0).unwrap_err();
        assert_eq!(error.to_string(), "temperature is -1, expected a finite number of at least 0");
    }

    /// Rules out what it has accepted.
    #[derive(Clone, Default)]
    struct Once(Vec<u32>);

    impl Processor for Once {
        fn name(&self) -> &'static str {
            "once"
        }

        fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
            crate::processor::map_row(&logits, |row| {
                self.0.iter().for_each(|&token| row[token as usize] = f32::NEG_INFINITY);
            })
        }

        fn accept(&mut self, token: u32) -> Result<(), SamplingError> {
            self.0.push(token);
            Ok(())
        }
    }

    #[test]
    fn a_clone_tries_tokens_and_changes_nothing() {
        let logits = Tensor::new(&[0f32, 0.0, 9.0], &Device::Cpu).unwrap();
        let mut sampler = Sampler::with_processors(vec![Box::new(Once::default())], 3);
        let history = History::new(&[], 0);
        let mut tried = sampler.clone();
        tried.accept(2).unwrap();
        tried.accept(0).unwrap();
        assert_eq!(tried.distribution(&logits, &history).unwrap(), Distribution::certain(1));
        let before = sampler.distribution(&logits, &history).unwrap();
        assert!(before.probability(2) > 0.99);
        assert_eq!(sampler.distribution(&logits, &history).unwrap(), before, "asked twice");
        sampler.accept(2).unwrap();
        assert_eq!(sampler.distribution(&logits, &history).unwrap().probability(2), 0.0);
    }

    #[test]
    fn a_sample_is_drawn_from_the_distribution_with_the_stream_of_tokens() {
        let logits = Tensor::new(&[0f32, 1.0, -1.0, 0.5], &Device::Cpu).unwrap();
        let config = SamplerConfig { temperature: 0.7, seed: 4, ..Default::default() };
        let mut sampler = Sampler::new(&config).unwrap();
        let answer = [1; 50];
        for len in 0..50 {
            let history = History::new(&answer[..len], 0);
            let u = sampler.uniform(Stream::TOKEN, len as u64);
            let drawn = sampler.distribution(&logits, &history).unwrap().draw(u);
            assert_eq!(sampler.sample(&logits, &history).unwrap(), drawn);
        }
        let mut greedy = Sampler::new(&SamplerConfig::default()).unwrap();
        let certain = greedy.distribution(&logits, &History::new(&[], 0)).unwrap();
        assert_eq!(certain, Distribution::certain(1));
    }

    /// Frequencies of 8,000 draws against the probabilities; 18.5 is exceeded once in a thousand (4 degrees).
    fn check_frequencies(temperature: f32) {
        let logits = [0.5f32, 1.5, -0.5, 0.0, 2.0];
        let weights = logits.map(|logit| f64::from(logit / temperature).exp());
        let total: f64 = weights.iter().sum();
        let mut counts = [0f64; 5];
        let config = SamplerConfig { temperature, seed: 11, ..Default::default() };
        for i in 0..8000 {
            counts[sample(&config, &logits, i).unwrap() as usize] += 1.0;
        }
        let cells = counts.iter().zip(weights).map(|(count, weight)| {
            let expected = 8000.0 * weight / total;
            (count - expected).powi(2) / expected
        });
        let chi_square: f64 = cells.sum();
        assert!(chi_square < 18.5, "temperature {temperature}: {chi_square}");
    }

    #[test]
    fn frequencies_follow_the_distribution() {
        [0.5, 1.0, 1.5].into_iter().for_each(check_frequencies);
    }
}
