//! The processors of one request, and the draw.

use candle_core::Tensor;

use llama_engine::Sampling;

use crate::{
    Distribution, History, Processor, Resolved, SamplingError, Stream,
    row::{check_finite, most_likely},
    standard_processors, uniform,
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
    /// The processors that a request asks for; temperature 0 takes the most likely token after them.
    ///
    /// # Errors
    /// [`SamplingError::OutOfRange`], [`SamplingError::Order`]
    pub fn new(sampling: &Sampling, resolved: &Resolved) -> Result<Self, SamplingError> {
        let choice = if sampling.temperature == 0.0 { Choice::MostLikely } else { Choice::Draw };
        let processors = standard_processors(sampling, resolved)?;
        Ok(Self { processors, choice, seed: resolved.seed })
    }

    /// Processors of your own, applied in order, and a random draw.
    pub fn with_processors(processors: Vec<Box<dyn Processor>>, seed: u64) -> Self {
        Self { processors, choice: Choice::Draw, seed }
    }

    /// Puts constraints before everything else.
    pub fn constrained_by(mut self, constraints: Vec<Box<dyn Processor>>) -> Self {
        self.processors.splice(..0, constraints);
        self
    }

    /// Changes the list of processors: takes out, puts in, reorders.
    pub fn map_processors(
        &mut self,
        change: impl FnOnce(Vec<Box<dyn Processor>>) -> Vec<Box<dyn Processor>>,
    ) {
        self.processors = change(std::mem::take(&mut self.processors));
    }

    /// The next token. It is not accepted yet.
    ///
    /// # Shapes
    /// `logits`: `[v]` in f32.
    ///
    /// # Errors
    /// [`SamplingError::NotFinite`] for broken logits, [`SamplingError::NoCandidate`] if all are ruled out.
    pub fn sample(&mut self, logits: &Tensor, history: &History<'_>) -> Result<u32, SamplingError> {
        let row = self.processed(logits, history)?;
        match self.choice {
            Choice::MostLikely => best(&row),
            Choice::Draw => {
                let u = self.uniform(Stream::TOKEN, history.draw_idx());
                Ok(Distribution::from_logits(&row)?.draw(u))
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
        let row = self.processed(logits, history)?;
        match self.choice {
            Choice::MostLikely => Ok(Distribution::certain(best(&row)?)),
            Choice::Draw => Distribution::from_logits(&row),
        }
    }

    /// Whether random numbers decide: false for a greedy sampler.
    pub fn is_random(&self) -> bool {
        self.choice == Choice::Draw
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

    /// The logits after all processors.
    fn processed(&mut self, logits: &Tensor, history: &History<'_>) -> Result<Vec<f32>, SamplingError> {
        let mut processed = logits.clone();
        if !self.processors.is_empty() {
            check_finite(&logits.to_vec1::<f32>()?)?;
        }
        for processor in &mut self.processors {
            processed = processor.process(processed, history)?;
        }
        let row = processed.to_vec1::<f32>()?; // [v]
        check_finite(&row)?;
        Ok(row)
    }
}

/// The first of the most likely tokens.
fn best(row: &[f32]) -> Result<u32, SamplingError> {
    most_likely(row).map(|(token, _)| token).ok_or(SamplingError::NoCandidate)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn build(config: &Sampling, seed: u64) -> Result<Sampler, SamplingError> {
        Sampler::new(config, &Resolved { seed, ..Resolved::default() })
    }

    fn sample(config: &Sampling, logits: &[f32], draw_idx: u64) -> Result<u32, SamplingError> {
        let answer = vec![0; draw_idx as usize];
        let logits = Tensor::new(logits, &Device::Cpu).unwrap();
        build(config, 11)?.sample(&logits, &History::new(&answer, 0))
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        assert_eq!(sample(&Sampling::default(), &[1.0, 4.0, 4.0], 0).unwrap(), 1);
    }

    #[test]
    fn broken_logits_are_refused() {
        let warm = |temperature| Sampling { temperature, top_p: Some(0.5), ..Default::default() };
        for config in [Sampling::default(), warm(1.0), warm(0.5)] {
            let error = sample(&config, &[0.0, f32::NAN], 0).unwrap_err();
            assert_eq!(error.to_string(), "the logit of token 1 is NaN");
            assert!(matches!(sample(&config, &[f32::INFINITY], 0), Err(SamplingError::NotFinite { .. })));
            let nothing = sample(&config, &[f32::NEG_INFINITY; 3], 0);
            assert!(nothing.is_err());
        }
    }

    #[test]
    fn out_of_range_values_say_the_range() {
        let config = Sampling { temperature: -1.0, ..Default::default() };
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
            crate::row::map_row(&logits, |row| {
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
        let config = Sampling { temperature: 0.7, ..Default::default() };
        let mut sampler = build(&config, 4).unwrap();
        let answer = [1; 50];
        for len in 0..50 {
            let history = History::new(&answer[..len], 0);
            let u = sampler.uniform(Stream::TOKEN, len as u64);
            let drawn = sampler.distribution(&logits, &history).unwrap().draw(u);
            assert_eq!(sampler.sample(&logits, &history).unwrap(), drawn);
        }
        let mut greedy = build(&Sampling::default(), 0).unwrap();
        let certain = greedy.distribution(&logits, &History::new(&[], 0)).unwrap();
        assert_eq!(certain, Distribution::certain(1));
    }

    /// Frequencies of 8,000 draws against the probabilities; 18.5 is exceeded once in a thousand (4 degrees).
    fn check_frequencies(temperature: f32) {
        let logits = [0.5f32, 1.5, -0.5, 0.0, 2.0];
        let weights = logits.map(|logit| f64::from(logit / temperature).exp());
        let total: f64 = weights.iter().sum();
        let mut counts = [0f64; 5];
        let config = Sampling { temperature, ..Default::default() };
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
