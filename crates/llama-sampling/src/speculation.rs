//! Tokens that were drafted ahead: how they are drawn, and how the target accepts or replaces them.
//!
//! Speculative sampling (Leviathan, Kalman and Matias, ICML 2023, algorithm 1; Chen et al., arXiv:2302.01318): a token
//! drawn from q is accepted with probability min(1, p / q), and replaced by a draw from what p has more than q
//! otherwise. What comes out is distributed as p, whatever q is.

use candle_core::Tensor;

use crate::{Distribution, History, Sampler, SamplingError, Stream};

/// A drafted token.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The token.
    pub token: u32,
    /// What it was drawn from with [`Stream::DRAFT`]; absent if it was chosen in any other way.
    pub drawn_from: Option<Distribution>,
}

impl Proposal {
    /// A token that was chosen without a draw.
    pub fn chosen(token: u32) -> Self {
        Self { token, drawn_from: None }
    }
}

impl Sampler {
    /// Drafts the next token from the logits of another model, for [`Sampler::verify`]. It is not accepted yet.
    ///
    /// # Shapes
    /// `logits`: `[v]` in f32.
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    pub fn draft(&mut self, logits: &Tensor, history: &History<'_>) -> Result<Proposal, SamplingError> {
        let distribution = self.distribution(logits, history)?;
        let token = distribution.draw(self.uniform(Stream::DRAFT, history.draw_idx()));
        Ok(Proposal { token, drawn_from: Some(distribution) })
    }

    /// The next token, given one that was drafted: that one, or another. Distributed as [`Sampler::sample`]'s, and equal
    /// to it for a greedy sampler. It is not accepted yet.
    ///
    /// # Shapes
    /// `logits`: `[v]` in f32.
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    pub fn verify(
        &mut self,
        logits: &Tensor,
        history: &History<'_>,
        proposal: &Proposal,
    ) -> Result<u32, SamplingError> {
        let target = self.distribution(logits, history)?;
        let draw_idx = history.draw_idx();
        if is_accepted(&target, proposal, self.uniform(Stream::ACCEPTANCE, draw_idx)) {
            return Ok(proposal.token);
        }
        Ok(residual(target, proposal).draw(self.uniform(Stream::TOKEN, draw_idx)))
    }
}

/// Whether `u`, uniform in [0, 1), is below p / q.
fn is_accepted(target: &Distribution, proposal: &Proposal, u: f64) -> bool {
    let drawn_from = proposal.drawn_from.as_ref();
    let q = drawn_from.map_or(1.0, |distribution| distribution.probability(proposal.token));
    u * q < target.probability(proposal.token)
}

/// What the target has more than the draft, for a token that was rejected.
fn residual(target: Distribution, proposal: &Proposal) -> Distribution {
    let q = |token| match &proposal.drawn_from {
        Some(distribution) => distribution.probability(token),
        None => f64::from(u8::from(token == proposal.token)),
    };
    let more = Distribution::from_weights(target.iter().map(|(token, p)| (token, p - q(token))));
    // Where rounding leaves nothing, the two are equal.
    more.unwrap_or(target)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use llama_engine::Sampling;
    use proptest::prelude::*;

    use super::*;
    use crate::Resolved;

    fn sampler(temperature: f32, seed: u64) -> Sampler {
        let sampling = Sampling { temperature, ..Sampling::default() };
        Sampler::new(&sampling, &Resolved { seed, ..Resolved::default() }).unwrap()
    }

    fn tensor(logits: &[f32]) -> Tensor {
        Tensor::new(logits, &Device::Cpu).unwrap()
    }

    #[derive(Clone, Copy)]
    enum Draft {
        Drawn,
        Chosen(u32),
    }

    /// What 20,000 verified tokens look like against the target's probabilities: chi-square of 4 degrees, of which 18.5
    /// is exceeded once in a thousand; and the share of drafts accepted.
    fn check(temperature: f32, draft: Draft) -> f64 {
        const NUM_DRAWS: u64 = 20_000;
        let (target, other) = (tensor(&[0.5, 1.5, -0.5, 0.0, 2.0]), tensor(&[2.0, 1.0, 0.0, -2.0, 0.5]));
        let history = History::new(&[7, 7, 7], 1);
        let (mut counts, mut num_accepted) = ([0f64; 5], 0.0);
        for seed in 0..NUM_DRAWS {
            let mut sampler = sampler(temperature, seed);
            let proposal = match draft {
                Draft::Drawn => sampler.draft(&other, &history).unwrap(),
                Draft::Chosen(token) => Proposal::chosen(token),
            };
            let token = sampler.verify(&target, &history, &proposal).unwrap();
            counts[token as usize] += 1.0;
            num_accepted += f64::from(u8::from(token == proposal.token));
        }
        let expected = sampler(temperature, 0).distribution(&target, &history).unwrap();
        let cells = expected.iter().map(|(token, probability)| {
            let expected = NUM_DRAWS as f64 * probability;
            (counts[token as usize] - expected).powi(2) / expected
        });
        let chi_square: f64 = cells.sum();
        assert!(chi_square < 18.5, "temperature {temperature}: {chi_square}");
        num_accepted / NUM_DRAWS as f64
    }

    #[test]
    fn verified_tokens_follow_the_target() {
        for temperature in [0.5, 1.0, 1.5] {
            check(temperature, Draft::Drawn);
            for token in 0..5 {
                check(temperature, Draft::Chosen(token));
            }
        }
    }

    #[test]
    fn as_many_are_accepted_as_the_distributions_share() {
        let history = History::new(&[7, 7, 7], 1);
        let distribution = |logits: &[f32]| sampler(1.0, 0).distribution(&tensor(logits), &history).unwrap();
        let (p, q) = (distribution(&[0.5, 1.5, -0.5, 0.0, 2.0]), distribution(&[2.0, 1.0, 0.0, -2.0, 0.5]));
        let shared: f64 = p.iter().map(|(token, p)| p.min(q.probability(token))).sum();
        let found = check(1.0, Draft::Drawn);
        assert!((found - shared).abs() < 0.015, "{found} accepted, {shared} shared");
    }

    #[test]
    fn what_the_target_rules_out_is_never_accepted() {
        let target = tensor(&[f32::NEG_INFINITY, 0.0, 0.0]);
        let history = History::new(&[1], 1);
        for seed in 0..100 {
            let verified = sampler(1.0, seed).verify(&target, &history, &Proposal::chosen(0)).unwrap();
            assert_ne!(verified, 0);
        }
        let beyond = sampler(1.0, 0).verify(&target, &history, &Proposal::chosen(99)).unwrap();
        assert!(beyond < 3, "a token that the target does not have");
    }

    proptest! {
        #[test]
        fn a_greedy_sampler_verifies_to_its_own_choice(
            target in prop::collection::vec(-4f32..4.0, 1..20),
            draft in prop::collection::vec(-4f32..4.0, 20),
            chosen in 0u32..20,
        ) {
            let history = History::new(&[1, 2], 1);
            let draft = &draft[..target.len()];
            let mut sampler = sampler(0.0, 3);
            let expected = sampler.sample(&tensor(&target), &history).unwrap();
            let drawn = sampler.draft(&tensor(draft), &history).unwrap();
            for proposal in [drawn, Proposal::chosen(chosen)] {
                prop_assert_eq!(sampler.verify(&tensor(&target), &history, &proposal).unwrap(), expected);
            }
        }

        #[test]
        fn a_draft_from_the_target_itself_is_accepted(logits in prop::collection::vec(-4f32..4.0, 1..20), seed: u64) {
            let history = History::new(&[1, 2], 1);
            let mut sampler = sampler(0.8, seed);
            let proposal = sampler.draft(&tensor(&logits), &history).unwrap();
            let verified = sampler.verify(&tensor(&logits), &history, &proposal).unwrap();
            prop_assert_eq!(verified, proposal.token);
        }
    }
}
