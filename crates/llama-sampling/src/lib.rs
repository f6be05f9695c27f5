//! From logits to a token: processors that reshape the distribution, and an exact, repeatable draw.
//!
//! A [`Sampler`] is a list of [`Processor`]s and a seed. Processors take and return Candle tensors, so one can be put
//! in, taken out or written anew without touching the rest. The draw depends on logits, seed and the token's number
//! alone, never on what was sampled elsewhere.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use llama_sampling::{Sampler, SamplerConfig};
//!
//! let logits = Tensor::new(&[0.1f32, 2.0, -1.0], &Device::Cpu)?;
//! let greedy = Sampler::new(&SamplerConfig::default())?;
//! assert_eq!(greedy.sample(&logits, 0)?, 1);
//!
//! let warm = Sampler::new(&SamplerConfig { temperature: 0.8, seed: 7, ..SamplerConfig::default() })?;
//! assert_eq!(warm.sample(&logits, 3)?, warm.sample(&logits, 3)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod error;
mod logprobs;
mod processor;
mod processors;
mod random;
mod sampler;

pub use config::SamplerConfig;
pub use error::SamplingError;
pub use logprobs::{Logprob, logprobs};
pub use processor::Processor;
pub use processors::{MinP, Temperature, TopK, TopP, standard_processors};
pub use random::uniform;
pub use sampler::Sampler;
