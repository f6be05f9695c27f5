//! From a checkpoint's tensors to a decoder's weights. Checks every shape and reads no weight.

use candle_core::DType;
use llama_backend::{
    Backend,
    ops::{
        Kernels,
        linear::{Activations, Linear, LinearPart},
        paged_attention::AttentionScope,
        rms_norm::RmsNorm,
    },
    weight::Weight,
};

use super::{Decoder, attention::Attention, feed_forward::FeedForward, layer::Layer};
use crate::{
    Checkpoint, DecoderConfig, ModelError,
    config::{AttentionBias, QkNorm},
};

/// How a decoder, or an encoder, computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecoderOptions {
    /// Dtype of activations; the device's default if absent. The CPU computes in f32.
    pub dtype: Option<DType>,
    /// Our kernels, or the reference.
    pub kernels: Kernels,
    /// How quantised weights see their input.
    pub activations: Activations,
}

impl DecoderOptions {
    /// The dtype to compute in on this device.
    pub(crate) fn dtype_on(&self, backend: &dyn Backend) -> Result<DType, ModelError> {
        let supported = backend.compute_dtypes();
        let found = self.dtype.unwrap_or(supported[0]);
        match supported.contains(&found) {
            true => Ok(found),
            false => Err(ModelError::ComputeDtype { device: backend.name(), found, supported }),
        }
    }
}

impl Decoder {
    /// Finds and checks the weights. Cheap: no weight is read before the first step that needs it.
    ///
    /// # Errors
    /// [`ModelError`] that names the tensor which is missing or has the wrong shape or format;
    /// [`ModelError::ComputeDtype`] for a dtype that the device cannot compute in.
    pub fn new(
        checkpoint: &Checkpoint,
        backend: &dyn Backend,
        options: DecoderOptions,
    ) -> Result<Self, ModelError> {
        let dtype = options.dtype_on(backend)?;
        let config = checkpoint.config();
        Loader { checkpoint, backend, config, dtype, activations: options.activations }
            .decoder(options.kernels)
    }
}

struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    backend: &'a dyn Backend,
    config: &'a DecoderConfig,
    dtype: DType,
    activations: Activations,
}

impl Loader<'_> {
    fn decoder(&self, kernels: Kernels) -> Result<Decoder, ModelError> {
        let (v, e) = (self.config.vocab_size, self.config.hidden_size);
        let embedding = self.weight("model.embed_tokens.weight", &[v, e])?;
        let head = match self.config.tie_word_embeddings {
            true => embedding.clone(),
            false => self.weight("lm_head.weight", &[v, e])?,
        };
        let layers = (0..self.config.num_hidden_layers).map(|layer_idx| self.layer(layer_idx));
        Ok(Decoder {
            config: self.config.clone(),
            embedding,
            layers: layers.collect::<Result<_, _>>()?,
            norm: self.norm("model.norm.weight", e)?,
            head: self.linear(vec![LinearPart { weight: head, bias: None }])?,
            inverse_frequencies: self.checkpoint.inverse_frequencies()?,
            kernels,
            dtype: self.dtype,
        })
    }

    fn layer(&self, layer_idx: usize) -> Result<Layer, ModelError> {
        let (e, f) = (self.config.hidden_size, self.config.intermediate_size);
        let name = |part: &str| format!("model.layers.{layer_idx}.{part}");
        let gate = self.part(&name("mlp.gate_proj"), [f, e], Bias::Absent)?;
        let up = self.part(&name("mlp.up_proj"), [f, e], Bias::Absent)?;
        let down = self.part(&name("mlp.down_proj"), [e, f], Bias::Absent)?;
        Ok(Layer {
            attention_norm: self.norm(&name("input_layernorm.weight"), e)?,
            attention: self.attention(layer_idx)?,
            feed_forward_norm: self.norm(&name("post_attention_layernorm.weight"), e)?,
            feed_forward: FeedForward {
                gate_up: self.linear(vec![gate, up])?,
                down: self.linear(vec![down])?,
            },
        })
    }

    fn attention(&self, layer_idx: usize) -> Result<Attention, ModelError> {
        let attention = &self.config.attention;
        let (h, g, d) = (attention.num_attention_heads, attention.num_key_value_heads, attention.head_dim);
        let e = self.config.hidden_size;
        let name = |part: &str| format!("model.layers.{layer_idx}.self_attn.{part}");
        let (qkv_bias, output_bias) = match attention.bias {
            AttentionBias::Absent => (Bias::Absent, Bias::Absent),
            AttentionBias::Qkv => (Bias::Present, Bias::Absent),
            AttentionBias::QkvOutput => (Bias::Present, Bias::Present),
        };
        let q = self.part(&name("q_proj"), [h * d, e], qkv_bias)?;
        let k = self.part(&name("k_proj"), [g * d, e], qkv_bias)?;
        let v = self.part(&name("v_proj"), [g * d, e], qkv_bias)?;
        let output = self.part(&name("o_proj"), [e, h * d], output_bias)?;
        let head_norm = |part: &str| match attention.qk_norm {
            QkNorm::Absent => Ok(None),
            QkNorm::PerHead => self.norm(&name(part), d).map(Some),
        };
        Ok(Attention {
            qkv: self.linear(vec![q, k, v])?,
            output: self.linear(vec![output])?,
            query_norm: head_norm("q_norm.weight")?,
            key_norm: head_norm("k_norm.weight")?,
            heads: (h, g, d),
            rope_layout: self.config.rope.layout,
            scope: AttentionScope { scale: 1.0 / (d as f32).sqrt(), window: self.config.window(layer_idx) },
        })
    }

    fn linear(&self, parts: Vec<LinearPart>) -> Result<Linear, ModelError> {
        Ok(Linear::new(parts)?.with_activations(self.activations))
    }

    fn part(&self, name: &str, [n, k]: [usize; 2], bias: Bias) -> Result<LinearPart, ModelError> {
        let bias = match bias {
            Bias::Absent => None,
            Bias::Present => Some(self.weight(&format!("{name}.bias"), &[n])?),
        };
        Ok(LinearPart { weight: self.weight(&format!("{name}.weight"), &[n, k])?, bias })
    }

    fn norm(&self, name: &str, len: usize) -> Result<RmsNorm, ModelError> {
        Ok(RmsNorm { weight: self.weight(name, &[len])?, eps: self.config.rms_norm_eps })
    }

    fn weight(&self, name: &str, shape: &[usize]) -> Result<Weight, ModelError> {
        Ok(self.backend.place(self.checkpoint.tensor(name, shape)?, self.dtype))
    }
}

/// Whether a projection has a bias.
#[derive(Clone, Copy)]
enum Bias {
    Absent,
    Present,
}
