//! Qwen3 (dense): no biases, a norm on each query and key head, and heads of a size of their own.

use llama_backend::ops::rope::RopeLayout;

use super::{BiasRule, Family, GgufNaming, WindowRule};
use crate::config::QkNorm;

pub(super) static FAMILY: Family = Family {
    name: "qwen3",
    architectures: &["Qwen3ForCausalLM"],
    gguf: Some(GgufNaming { architecture: "qwen3", rope_layout: RopeLayout::Halves }),
    bias: BiasRule::Configured,
    qk_norm: QkNorm::PerHead,
    window: WindowRule::Gated { default_sliding_window: 4096, default_max_window_layers: 28 },
    default_head_dim: Some(128),
};
