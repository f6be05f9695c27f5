//! One post-norm layer: attention and feed-forward, each added to its input and normalised with it.

use candle_core::Tensor;
use llama_backend::ops::{
    Kernels,
    gelu_linear::gelu_linear,
    layer_norm::{LayerNorm, layer_norm},
    linear::{Linear, linear},
    span_attention::{Spans, span_attention},
};

use crate::ModelError;

#[derive(Debug)]
pub(super) struct Layer {
    /// Query, key and value side by side: `[3 h d, e]`.
    pub(super) qkv: Linear,
    /// `[e, h d]`
    pub(super) output: Linear,
    pub(super) attention_norm: LayerNorm,
    /// `[f, e]`
    pub(super) up: Linear,
    /// `[e, f]`
    pub(super) down: Linear,
    pub(super) feed_forward_norm: LayerNorm,
}

impl Layer {
    /// # Shapes
    /// `x`: `[t, e]`; result: the same.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        (spans, num_heads): (&Spans, usize),
        kernels: Kernels,
    ) -> Result<Tensor, ModelError> {
        let qkv = linear(x, &self.qkv, kernels)?; // [t, 3 h d]
        let mixed = span_attention(&qkv, spans, num_heads, kernels)?; // [t, h d]
        let attended = linear(&mixed, &self.output, kernels)?; // [t, e]
        let x = layer_norm(x, &attended, &self.attention_norm, kernels)?;
        let activated = gelu_linear(&x, &self.up, kernels)?; // [t, f]
        let added = linear(&activated, &self.down, kernels)?; // [t, e]
        Ok(layer_norm(&x, &added, &self.feed_forward_norm, kernels)?)
    }
}
