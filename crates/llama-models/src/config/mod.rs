//! The configuration of a decoder: one type, parsed from config.json or from GGUF metadata, checked once. And that of an
//! encoder, from config.json.
//!
//! Fields keep their Hugging Face names. Invariant: a [`DecoderConfig`] that one of the parsers returned satisfies
//! everything in `validate.rs`, so the decoder divides and multiplies its sizes without further checks.

mod attention;
mod decoder;
mod encoder;
mod from_gguf;
mod from_json;
mod json_fields;
mod json_rope;
mod model;
mod rope;
#[cfg(test)]
mod tests;
mod validate;

pub use attention::{AttentionBias, AttentionConfig, QkNorm, SlidingWindow, WindowedLayers};
pub use decoder::{DecoderConfig, SpecialTokens};
pub use encoder::EncoderConfig;
pub use model::ModelConfig;
pub use rope::{RopeConfig, RopeScaling};
