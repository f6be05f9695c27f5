//! The model families, one file each: what they are called, and how they differ, as data.
//!
//! A new family is a file here and a line in [`FAMILIES`].

mod family;
mod llama;
mod mistral;
mod qwen2;
mod qwen3;

pub use family::{BiasRule, Family, GgufNaming, WindowRule};

/// Every family that the decoder computes.
pub static FAMILIES: [&Family; 4] = [&llama::FAMILY, &mistral::FAMILY, &qwen2::FAMILY, &qwen3::FAMILY];
