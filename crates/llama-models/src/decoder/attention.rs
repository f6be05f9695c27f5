//! Attention of one layer: projections, norms, rotation, cache, mixing.

use candle_core::Tensor;
use llama_backend::ops::{
    Kernels,
    linear::{Linear, linear},
    paged_attention::{AttentionScope, PagedLayout, paged_attention},
    rms_norm::{RmsNorm, rms_norm},
    rope::{RopeLayout, rope},
};
use llama_kv::PagedCache;

use super::layer::Step;
use crate::ModelError;

#[derive(Debug)]
pub(super) struct Attention {
    /// Query, key and value side by side: `[(h + 2 g) d, e]`.
    pub(super) qkv: Linear,
    /// `[e, h d]`
    pub(super) output: Linear,
    pub(super) query_norm: Option<RmsNorm>,
    pub(super) key_norm: Option<RmsNorm>,
    /// `(h, g, d)`
    pub(super) heads: (usize, usize, usize),
    pub(super) rope_layout: RopeLayout,
    pub(super) scope: AttentionScope,
}

impl Attention {
    /// Writes keys and values of all rows into the cache and returns the queries.
    ///
    /// # Shapes
    /// `x`: `[t, e]`; result: `[t, h, d]`
    pub(super) fn project(
        &self,
        x: &Tensor,
        (cache, layer_idx): (&mut PagedCache, usize),
        step: &Step<'_>,
    ) -> Result<Tensor, ModelError> {
        let (t, _e) = x.dims2()?;
        let (h, g, d) = self.heads;
        let qkv = linear(x, &self.qkv, step.kernels)?.reshape((t, h + 2 * g, d))?; // [t, h + 2 g, d]
        let q = self.rotated(qkv.narrow(1, 0, h)?, self.query_norm.as_ref(), step)?; // [t, h, d]
        let k = self.rotated(qkv.narrow(1, h, g)?, self.key_norm.as_ref(), step)?; // [t, g, d]
        let v = qkv.narrow(1, h + g, g)?; // [t, g, d]
        cache.write(layer_idx, (&k, &v), &step.slots, step.kernels)?;
        Ok(q)
    }

    /// Mixes cached values for some rows, which `layout` places in their sequences.
    ///
    /// # Shapes
    /// `q`: `[t, h, d]`; result: `[t, e]`
    pub(super) fn mix(
        &self,
        q: &Tensor,
        (cache, layer_idx): (&PagedCache, usize),
        (layout, kernels): (&PagedLayout, Kernels),
    ) -> Result<Tensor, ModelError> {
        let (t, h, d) = q.dims3()?;
        let mixed = paged_attention(q, cache.layer(layer_idx), layout, self.scope, kernels)?;
        Ok(linear(&mixed.reshape((t, h * d))?, &self.output, kernels)?) // [t, e]
    }

    /// # Shapes
    /// `heads`: `[t, h, d]` or `[t, g, d]`; result: the same, contiguous.
    fn rotated(&self, heads: Tensor, norm: Option<&RmsNorm>, step: &Step<'_>) -> Result<Tensor, ModelError> {
        let normed = match norm {
            Some(norm) => rms_norm(&heads, norm, step.kernels)?,
            None => heads,
        };
        Ok(rope(&normed, &step.rotations, self.rope_layout, step.kernels)?)
    }
}
