//! One decoder layer: attention and feed-forward, each around the residual stream.

use candle_core::Tensor;
use llama_backend::ops::{
    Kernels, kv_write::Slots, paged_attention::PagedLayout, residual::residual, rms_norm::RmsNorm,
    rms_norm::rms_norm, rope::Rotations,
};
use llama_kv::PagedCache;

use super::{attention::Attention, feed_forward::FeedForward};
use crate::ModelError;

/// What all layers of one step share.
pub(super) struct Step<'a> {
    pub(super) layout: &'a PagedLayout,
    pub(super) slots: Slots,
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
        (cache, layer_idx): (&mut PagedCache, usize),
        step: &Step<'_>,
    ) -> Result<Tensor, ModelError> {
        let normed = rms_norm(x, &self.attention_norm, step.kernels)?;
        let q = self.attention.project(&normed, (&mut *cache, layer_idx), step)?; // [t, h, d]
        self.rest(x, &q, (cache, layer_idx), (step.layout, step.kernels))
    }

    /// The last layer: all rows are cached, but no more is computed than what is wanted; nothing, if nothing is.
    ///
    /// # Shapes
    /// `x`: `[t, e]`; `wanted`: w rows, and their layout; result: `[w, e]`
    pub(super) fn forward_last(
        &self,
        x: &Tensor,
        (cache, layer_idx): (&mut PagedCache, usize),
        step: &Step<'_>,
        (rows, layout): (&[u32], &PagedLayout),
    ) -> Result<Option<Tensor>, ModelError> {
        if rows.len() == x.dim(0)? {
            return self.forward(x, (cache, layer_idx), step).map(Some);
        }
        let normed = rms_norm(x, &self.attention_norm, step.kernels)?;
        let q = self.attention.project(&normed, (&mut *cache, layer_idx), step)?; // [t, h, d]
        if rows.is_empty() {
            return Ok(None);
        }
        let rows = Tensor::new(rows, x.device())?;
        let (x, q) = (x.index_select(&rows, 0)?, q.index_select(&rows, 0)?); // [w, e], [w, h, d]
        self.rest(&x, &q, (cache, layer_idx), (layout, step.kernels)).map(Some)
    }

    /// What follows when keys and values are cached.
    ///
    /// # Shapes
    /// `x`: `[t, e]`; `q`: `[t, h, d]`; result: `[t, e]`
    fn rest(
        &self,
        x: &Tensor,
        q: &Tensor,
        cache: (&PagedCache, usize),
        (layout, kernels): (&PagedLayout, Kernels),
    ) -> Result<Tensor, ModelError> {
        let x = residual(x, &self.attention.mix(q, cache, (layout, kernels))?, kernels)?; // [t, e]
        let normed = rms_norm(&x, &self.feed_forward_norm, kernels)?;
        let added = self.feed_forward.forward(&normed, kernels)?;
        Ok(residual(&x, &added, kernels)?) // [t, e]
    }
}
