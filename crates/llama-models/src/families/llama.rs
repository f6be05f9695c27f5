//! Llama 1 to 3.2, and the many models of its architecture (SmolLM2, TinyLlama, ...).

use llama_backend::ops::rope::RopeLayout;

use super::{BiasRule, Family, GgufNaming, WindowRule};
use crate::config::QkNorm;

pub(super) static FAMILY: Family = Family {
    name: "llama",
    architectures: &["LlamaForCausalLM", "LLaMAForCausalLM"],
    gguf: Some(GgufNaming { architecture: "llama", rope_layout: RopeLayout::Pairs }),
    bias: BiasRule::Configured,
    qk_norm: QkNorm::Absent,
    window: WindowRule::Never,
    default_head_dim: None,
};
