//! Qwen2, Qwen2.5 and QwQ: biases on the query, key and value projections; windows on the upper layers, if any.

use llama_backend::ops::rope::RopeLayout;

use super::{BiasRule, Family, GgufNaming, WindowRule};
use crate::config::{AttentionBias, QkNorm};

pub(super) static FAMILY: Family = Family {
    name: "qwen2",
    architectures: &["Qwen2ForCausalLM"],
    gguf: Some(GgufNaming { architecture: "qwen2", rope_layout: RopeLayout::Halves }),
    bias: BiasRule::Fixed(AttentionBias::Qkv),
    qk_norm: QkNorm::Absent,
    window: WindowRule::Gated { default_sliding_window: 4096, default_max_window_layers: 28 },
    default_head_dim: None,
};
