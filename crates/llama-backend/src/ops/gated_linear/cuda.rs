//! The CUDA path: one kernel for few rows, a product and its activation for many.

use candle_core::Tensor;

use crate::{
    BackendError,
    ops::{
        linear::{self, Linear},
        swiglu,
    },
};

/// # Shapes
/// `x`: `[t, k]`; `gate_up`: `[2 f, k]`; result: `[t, f]`.
pub(super) fn gated_linear(x: &Tensor, gate_up: &Linear) -> Result<Tensor, BackendError> {
    if let [gate, up] = gate_up.parts()
        && let Some(activated) = linear::cuda::few_gated(x, gate, up)?
    {
        return Ok(activated); // [t, f]
    }
    swiglu::cuda::swiglu(&linear::cuda::linear(x, gate_up)?)
}
