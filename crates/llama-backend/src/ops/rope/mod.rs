//! Rotary position embedding at given positions.

/// Which two components of a head one rotation mixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeLayout {
    /// Component `i` with `i + d/2`: checkpoints in Hugging Face form, and GGUF files of the Qwen families.
    Halves,
    /// Component `2i` with `2i + 1`: GGUF files of architecture `llama`, whose rows llama.cpp's converter permuted.
    Pairs,
}
