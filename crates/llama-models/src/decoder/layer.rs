//! One decoder layer: attention and feed-forward, each around the residual stream.

use candle_core::Tensor;
use llama_backend::ops::{
    Kernels, paged_attention::PagedLayout, residual::residual, rms_norm::RmsNorm, rms_norm::rms_norm,
    rope::Rotations,
};
use llama_kv::PagedCache;

use super::{attention::Attention, feed_forward::FeedForward};
use crate::ModelError;

/// What all layers of one step share.
pub(super) struct Step<'a> {
    pub(super) layout: &'a PagedLayout,
    pub(super) slots: Vec<u32>,
    pub(super) rotations: Rotations,
    pub(super) kernels: Kernels,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attention_norm: RmsNorm,
    pub(super) attention: Attention,
    pub(super) feed_forward_norm: RmsNorm,
    pub(super) feed_forward: FeedForward,
}

impl Layer {
    /// # Shapes
    /// `x`: `[t, e]`; result: the same.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        cache: (&mut PagedCache, usize),
        step: &Step<'_>,
    ) -> Result<Tensor, ModelError> {
        let normed = rms_norm(x, &self.attention_norm, step.kernels)?;
        let x = residual(x, &self.attention.forward(&normed, cache, step)?, step.kernels)?; // [t, e]
        let normed = rms_norm(&x, &self.feed_forward_norm, step.kernels)?;
        let added = self.feed_forward.forward(&normed, step.kernels)?;
        Ok(residual(&x, &added, step.kernels)?) // [t, e]
    }
}
