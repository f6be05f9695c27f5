//! The whole configuration.

use super::{AttentionConfig, RopeConfig};
use crate::families::Family;

/// What a decoder looks like. See the dimension key in the crate's documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Which family, and so which quirks.
    pub family: &'static Family,
    /// Width of the residual stream, e.
    pub hidden_size: usize,
    /// Width inside the feed-forward part, f.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of tokens that the embedding knows, v.
    pub vocab_size: usize,
    /// Longest sequence, in tokens, that the model was made for.
    pub max_position_embeddings: usize,
    /// Added to the mean square in every norm.
    pub rms_norm_eps: f32,
    /// Whether `lm_head` is the embedding.
    pub tie_word_embeddings: bool,
    /// Heads, windows, biases.
    pub attention: AttentionConfig,
    /// Rotary position embedding.
    pub rope: RopeConfig,
    /// Tokens that begin and end texts.
    pub special_tokens: SpecialTokens,
}

/// Tokens that begin and end texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a text. Whether a prompt needs it is the tokenizer's knowledge.
    pub bos_token_id: Option<u32>,
    /// Any of these ends an answer; generation_config.json's list has precedence. May be empty.
    pub eos_token_ids: Vec<u32>,
}

impl DecoderConfig {
    /// How many of the last tokens, itself included, a token of this layer attends to; `None` is all.
    pub fn window(&self, layer_idx: usize) -> Option<usize> {
        self.attention.sliding_window.as_ref()?.at(layer_idx)
    }
}
