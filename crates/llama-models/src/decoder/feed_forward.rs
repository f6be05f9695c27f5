//! The gated feed-forward part of one layer.

use candle_core::Tensor;
use llama_backend::ops::{
    Kernels,
    gated_linear::gated_linear,
    linear::{Linear, linear},
};

use crate::ModelError;

#[derive(Debug)]
pub(super) struct FeedForward {
    /// Gate and up side by side: `[2 f, e]`.
    pub(super) gate_up: Linear,
    /// `[e, f]`
    pub(super) down: Linear,
}

impl FeedForward {
    /// # Shapes
    /// `x`: `[t, e]`; result: the same.
    pub(super) fn forward(&self, x: &Tensor, kernels: Kernels) -> Result<Tensor, ModelError> {
        let activated = gated_linear(x, &self.gate_up, kernels)?; // [t, f]
        Ok(linear(&activated, &self.down, kernels)?) // [t, e]
    }
}
