//! Small random checkpoints of every family, written as a Hugging Face directory.

use std::{fs, path::Path};

use candle_core::DType;
use llama_models::Checkpoint;
use proptest::prelude::*;
use safetensors::{Dtype, tensor::TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fill::{Fill, Magnitude};

/// `model_type` and architecture of each family.
const FAMILIES: [(&str, &str); 4] = [
    ("llama", "LlamaForCausalLM"),
    ("mistral", "MistralForCausalLM"),
    ("qwen2", "Qwen2ForCausalLM"),
    ("qwen3", "Qwen3ForCausalLM"),
];

/// A random model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Model {
    family_idx: usize,
    pub(super) num_layers: usize,
    kv_heads: usize,
    ratio: usize,
    head_dim: usize,
    hidden_size: usize,
    intermediate_size: usize,
    window: Option<usize>,
    is_tied: bool,
    /// Weights are stored in bf16 rather than f32.
    is_short: bool,
    seed: u32,
}

impl Model {
    pub(super) const VOCAB_SIZE: usize = 61;

    pub(super) fn any() -> impl Strategy<Value = Self> {
        let heads =
            (1usize..3, prop::sample::select(vec![1usize, 2, 3]), prop::sample::select(vec![32usize, 64]));
        let sizes = (prop::sample::select(vec![32usize, 48, 64, 96]), 8usize..100);
        let window = proptest::option::of(1usize..12);
        let flags = (any::<bool>(), any::<bool>(), 0u32..1 << 16);
        (0..FAMILIES.len(), 1usize..3, heads, sizes, window, flags).prop_map(
            |(
                family_idx,
                num_layers,
                (kv_heads, ratio, head_dim),
                (hidden_size, intermediate_size),
                window,
                flags,
            )| {
                let (is_tied, is_short, seed) = flags;
                Self {
                    family_idx,
                    num_layers,
                    kv_heads,
                    ratio,
                    head_dim,
                    hidden_size,
                    intermediate_size,
                    window: window.filter(|_| FAMILIES[family_idx].0 == "mistral"),
                    is_tied,
                    is_short,
                    seed,
                }
            },
        )
    }

    /// Writes it and opens what was written.
    pub(super) fn open(&self) -> anyhow::Result<Checkpoint> {
        let folder = tempfile::tempdir()?;
        self.write(folder.path())?;
        // The map stays valid when the folder goes.
        Ok(Checkpoint::open(folder.path())?)
    }

    fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::write(folder.join("config.json"), self.config().to_string())?;
        let stored = if self.is_short { Dtype::BF16 } else { Dtype::F32 };
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = (0..)
            .zip(self.shapes())
            .map(|(stream, (name, shape))| {
                let bytes = self.bytes(stream, &name, &shape);
                (name, shape, bytes)
            })
            .collect();
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name, TensorView::new(stored, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None)?)?;
        Ok(())
    }

    /// Values that keep activations near one from layer to layer.
    fn bytes(&self, stream: u32, name: &str, shape: &[usize]) -> Vec<u8> {
        let fill = Fill { magnitude: Magnitude::Unit, seed: self.seed };
        let values = fill.values(shape.iter().product(), stream, DType::F32);
        let scaled = values.into_iter().map(|value| match shape {
            [_, inputs] => value * (3.0 / *inputs as f32).sqrt(),
            _ if name.ends_with("norm.weight") => 1.0 + 0.2 * value,
            _ => 0.2 * value,
        });
        match self.is_short {
            true => scaled.flat_map(|value| half::bf16::from_f32(value).to_le_bytes()).collect(),
            false => scaled.flat_map(f32::to_le_bytes).collect(),
        }
    }

    /// Names and shapes of all tensors.
    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (e, f, v) = (self.hidden_size, self.intermediate_size, Self::VOCAB_SIZE);
        let (q, kv) = (self.kv_heads * self.ratio * self.head_dim, self.kv_heads * self.head_dim);
        let mut layer = vec![
            ("input_layernorm.weight", vec![e]),
            ("self_attn.q_proj.weight", vec![q, e]),
            ("self_attn.k_proj.weight", vec![kv, e]),
            ("self_attn.v_proj.weight", vec![kv, e]),
            ("self_attn.o_proj.weight", vec![e, q]),
            ("post_attention_layernorm.weight", vec![e]),
            ("mlp.gate_proj.weight", vec![f, e]),
            ("mlp.up_proj.weight", vec![f, e]),
            ("mlp.down_proj.weight", vec![e, f]),
        ];
        match FAMILIES[self.family_idx].0 {
            "qwen2" => layer.extend([
                ("self_attn.q_proj.bias", vec![q]),
                ("self_attn.k_proj.bias", vec![kv]),
                ("self_attn.v_proj.bias", vec![kv]),
            ]),
            "qwen3" => layer.extend([
                ("self_attn.q_norm.weight", vec![self.head_dim]),
                ("self_attn.k_norm.weight", vec![self.head_dim]),
            ]),
            _ => {}
        }
        let mut shapes = vec![
            ("model.embed_tokens.weight".to_owned(), vec![v, e]),
            ("model.norm.weight".to_owned(), vec![e]),
        ];
        if !self.is_tied {
            shapes.push(("lm_head.weight".to_owned(), vec![v, e]));
        }
        for layer_idx in 0..self.num_layers {
            shapes.extend(
                layer.iter().map(|(name, shape)| (format!("model.layers.{layer_idx}.{name}"), shape.clone())),
            );
        }
        shapes
    }

    fn config(&self) -> Value {
        let (family, architecture) = FAMILIES[self.family_idx];
        json!({
            "architectures": [architecture], "model_type": family, "hidden_act": "silu", "head_dim": self.head_dim,
            "hidden_size": self.hidden_size, "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_layers, "num_attention_heads": self.kv_heads * self.ratio,
            "num_key_value_heads": self.kv_heads, "vocab_size": Self::VOCAB_SIZE, "max_position_embeddings": 512,
            "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": self.is_tied,
            "rope_theta": 10000.0, "sliding_window": self.window,
        })
    }
}
