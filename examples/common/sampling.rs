//! Sampling on the command line.

use clap::Args;
use llama_rs::prelude::*;

/// What a request's sampling can be on the command line.
#[derive(Args)]
pub(crate) struct SamplingArgs {
    /// 0 always takes the most likely token
    #[arg(long, default_value_t = 0.8)]
    temperature: f32,
    /// Sample from the k most likely tokens
    #[arg(long)]
    top_k: Option<usize>,
    /// Sample from the fewest tokens with this total probability
    #[arg(long)]
    top_p: Option<f32>,
    /// Sample from tokens at least this fraction as likely as the best
    #[arg(long)]
    min_p: Option<f32>,
    /// Sample from tokens of about the expected surprise, with this total probability
    #[arg(long)]
    typical_p: Option<f32>,
    /// Sample from tokens at most this many standard deviations below the best
    #[arg(long)]
    top_n_sigma: Option<f32>,
    /// How often the likeliest tokens are excluded
    #[arg(long)]
    xtc: Option<f32>,
    /// Makes tokens of prompt and answer less likely
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f32,
    /// Makes repeated phrases less likely, by this much
    #[arg(long)]
    dry: Option<f32>,
    /// Holds this surprise, in bits per token
    #[arg(long)]
    mirostat: Option<f32>,
    /// The same seed gives the same text
    #[arg(long)]
    seed: Option<u64>,
}

impl From<SamplingArgs> for Sampling {
    fn from(args: SamplingArgs) -> Self {
        let SamplingArgs { temperature, top_k, top_p, min_p, typical_p, top_n_sigma, seed, .. } = args;
        let dry = args.dry.map(|multiplier| Dry { multiplier, ..Dry::default() });
        let penalties = Penalties { repetition: args.repetition_penalty, dry, ..Penalties::default() };
        let xtc = args.xtc.map(|probability| Xtc { probability, ..Xtc::default() });
        let mirostat = args.mirostat.map(|tau| Mirostat { tau, ..Mirostat::default() });
        let standard =
            Self { temperature, top_k, top_p, min_p, typical_p, top_n_sigma, seed, ..Self::default() };
        Self { xtc, penalties, mirostat, ..standard }
    }
}
