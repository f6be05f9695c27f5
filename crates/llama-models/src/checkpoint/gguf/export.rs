//! A checkpoint in Hugging Face form in GGUF's words: metadata, names, and the order of rows.
//!
//! Invariant: what is written is read back as the same model, here and in llama.cpp. What GGUF cannot say is an error.

use std::{borrow::Cow, sync::Arc};

use llama_backend::weight::{MappedTensor, WeightDtype};

use super::{GgufValue, GgufWriter};
use crate::{
    Checkpoint, ModelError,
    checkpoint::names::gguf_name,
    config::{RopeConfig, RopeScaling, WindowedLayers},
    families::{Family, GgufNaming},
};

/// What families without a name of their own in GGUF are written as: mistral is.
const DEFAULT_ARCHITECTURE: &str = "llama";
/// Llama 3's scaling as divisors of the frequencies; GGUF has no parameters for it.
pub(super) const ROPE_FREQS: &str = "rope_freqs.weight";

/// How a checkpoint in Hugging Face form is written.
pub(super) struct Export<'a> {
    checkpoint: &'a Checkpoint,
    naming: GgufNaming,
}

impl<'a> Export<'a> {
    pub(super) fn of(checkpoint: &'a Checkpoint) -> Self {
        let default = || Family::of_gguf_architecture(DEFAULT_ARCHITECTURE).map(|(_, naming)| naming);
        let naming = checkpoint.config().family.gguf.or_else(default);
        Self { checkpoint, naming: naming.expect("llama has a name in GGUF") }
    }

    /// Metadata without that of the tokenizer.
    pub(super) fn writer(&self) -> Result<GgufWriter, ModelError> {
        let config = self.checkpoint.config();
        let attention = &config.attention;
        let mut writer = GgufWriter::default();
        writer.set("general.architecture", self.naming.architecture);
        let name = self.checkpoint.path().file_name().unwrap_or_default();
        writer.set("general.name", &*name.to_string_lossy());
        let mut set = |key: &str, value: GgufValue| {
            writer.set(&format!("{}.{key}", self.naming.architecture), value);
        };
        let sizes = [
            ("vocab_size", config.vocab_size),
            ("block_count", config.num_hidden_layers),
            ("context_length", config.max_position_embeddings),
            ("embedding_length", config.hidden_size),
            ("feed_forward_length", config.intermediate_size),
            ("attention.head_count", attention.num_attention_heads),
            ("attention.head_count_kv", attention.num_key_value_heads),
            ("attention.key_length", attention.head_dim),
            ("attention.value_length", attention.head_dim),
            ("rope.dimension_count", attention.head_dim),
        ];
        for (key, size) in sizes {
            set(key, u32::try_from(size).expect("validate.rs limits every size").into());
        }
        set("attention.layer_norm_rms_epsilon", config.rms_norm_eps.into());
        set("rope.freq_base", config.rope.rope_theta.into());
        if let RopeScaling::Linear { factor } = config.rope.scaling {
            set("rope.scaling.type", "linear".into());
            set("rope.scaling.factor", factor.into());
        }
        if let Some(window) = &attention.sliding_window {
            if window.layers != WindowedLayers::All {
                let supported = "one window for all layers, in GGUF";
                return Err(self.checkpoint.unsupported(
                    "sliding_window",
                    "on some layers".to_owned(),
                    supported,
                ));
            }
            set("attention.sliding_window", u32::try_from(window.size).expect("as above").into());
        }
        Ok(writer)
    }

    /// GGUF's name of a tensor; `None` for one that is not written, because the decoder does not read it.
    pub(super) fn name<'n>(&self, name: &'n str) -> Option<Cow<'n, str>> {
        let is_unused_head = self.checkpoint.config().tie_word_embeddings && name == "lm_head.weight";
        Some(gguf_name(name)).filter(|gguf| gguf != name && !is_unused_head)
    }

    /// The tensor with its rows in the order that GGUF's readers expect.
    pub(super) fn arranged(&self, tensor: MappedTensor) -> Result<MappedTensor, ModelError> {
        let attention = &self.checkpoint.config().attention;
        let is_rotated = tensor.name().contains(".q_proj.") || tensor.name().contains(".k_proj.");
        let is_other = self.naming.rope_layout != self.checkpoint.config().rope.layout;
        match is_rotated && is_other {
            true => Ok(pairs_of_halves(&tensor, attention.head_dim)?),
            false => Ok(tensor),
        }
    }

    /// Divisors of the frequencies, if the scaling needs them.
    ///
    /// # Shapes
    /// `[d / 2]`
    pub(super) fn rope_factors(&self) -> Option<Vec<f32>> {
        let config = self.checkpoint.config();
        let RopeScaling::Llama3 { .. } = config.rope.scaling else {
            return None;
        };
        let head_dim = config.attention.head_dim;
        let unscaled = RopeConfig { scaling: RopeScaling::Unscaled, ..config.rope.clone() };
        let (unscaled, scaled) =
            (unscaled.inverse_frequencies(head_dim), config.rope.inverse_frequencies(head_dim));
        Some(unscaled.iter().zip(scaled).map(|(unscaled, scaled)| unscaled / scaled).collect())
    }
}

/// Row `i` of either half of a head becomes row `2 i` or `2 i + 1`: rotated components side by side.
///
/// # Shapes
/// `[heads * d, e]` or `[heads * d]`; the result likewise.
fn pairs_of_halves(tensor: &MappedTensor, head_dim: usize) -> Result<MappedTensor, ModelError> {
    let num_rows = tensor.shape()[0];
    let row_bytes = tensor.bytes().len() / num_rows;
    let mut bytes = Vec::with_capacity(tensor.bytes().len());
    for row_idx in 0..num_rows {
        let (head, component) = (row_idx / head_dim, row_idx % head_dim);
        let from = head * head_dim + component % 2 * (head_dim / 2) + component / 2;
        bytes.extend(&tensor.bytes()[from * row_bytes..(from + 1) * row_bytes]);
    }
    let len = bytes.len();
    Ok(MappedTensor::new(tensor.name(), tensor.dtype(), tensor.shape(), Arc::new(bytes), 0..len)?)
}

/// A vector of f32 under a name.
pub(super) fn vector(name: &str, values: &[f32]) -> Result<MappedTensor, ModelError> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let len = bytes.len();
    Ok(MappedTensor::new(name, WeightDtype::F32, &[values.len()], Arc::new(bytes), 0..len)?)
}
