//! From logits to a token: processors that reshape the distribution, and an exact, repeatable draw.
//!
//! A [`Sampler`] is a list of [`Processor`]s and a seed. Processors take and return Candle tensors, so one can be put
//! in, taken out or written anew without touching the rest. The draw depends on logits, seed and the token's number
//! alone, never on what was sampled elsewhere. Some processors look at the [`History`], some keep state that advances
//! when a token is accepted.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use llama_engine::Sampling;
//! use llama_sampling::{History, Resolved, Sampler};
//!
//! let logits = Tensor::new(&[0.1f32, 2.0, -1.0], &Device::Cpu)?;
//! let history = History::new(&[5, 8, 2], 1); // one token of prompt, two of the answer
//! let mut greedy = Sampler::new(&Sampling::default(), &Resolved::default())?;
//! assert_eq!(greedy.sample(&logits, &history)?, 1);
//!
//! let sampling = Sampling { temperature: 0.8, top_p: Some(0.9), ..Sampling::default() };
//! let mut warm = Sampler::new(&sampling, &Resolved { seed: 7, ..Resolved::default() })?;
//! let token = warm.sample(&logits, &history)?;
//! assert_eq!(warm.sample(&logits, &history)?, token, "nothing has been accepted");
//! warm.accept(token)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod distribution;
mod error;
mod grammar;
mod history;
mod logprobs;
mod processor;
mod processors;
mod random;
mod row;
mod sampler;
mod softmax;
mod speculation;

pub use distribution::Distribution;
pub use error::SamplingError;
pub use grammar::{
    Constraint, GrammarCompiler, GrammarError, GrammarLimits, GrammarVocabulary, Position, TokenMask,
    Tokenize, VocabularyPiece,
};
pub use history::History;
pub use logprobs::{Logprob, logprobs};
pub use processor::{CloneProcessor, Processor};
pub use processors::{
    AllowedTokens, BannedTokens, Dry, DynamicTemperature, LogitBias, MinP, MinTokens, Mirostat, Penalties,
    Resolved, Temperature, TopK, TopNSigma, TopP, TypicalP, Xtc, standard_processors, token_processors,
};
pub use random::{Stream, uniform};
pub use sampler::Sampler;
pub use speculation::Proposal;
