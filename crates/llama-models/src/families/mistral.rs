//! Mistral 7B and its kin: Llama with a sliding window. In GGUF files they are of architecture `llama`.

use super::{BiasRule, Family, WindowRule};
use crate::config::{AttentionBias, QkNorm};

pub(super) static FAMILY: Family = Family {
    name: "mistral",
    architectures: &["MistralForCausalLM"],
    gguf: None,
    bias: BiasRule::Fixed(AttentionBias::Absent),
    qk_norm: QkNorm::Absent,
    window: WindowRule::EveryLayer { default_sliding_window: 4096 },
    default_head_dim: None,
};
