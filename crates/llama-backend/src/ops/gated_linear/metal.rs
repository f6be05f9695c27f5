//! The Metal path: one dispatch for few rows; for many, the products side by side and then the activation.

use candle_core::Tensor;

use crate::{
    BackendError,
    ops::{
        linear::{Linear, metal},
        swiglu,
    },
};

/// # Shapes
/// `x`: `[t, k]`; `gate_up`: `[2 f, k]`; result: `[t, f]`.
pub(super) fn gated_linear(x: &Tensor, gate_up: &Linear) -> Result<Tensor, BackendError> {
    if let [gate, up] = gate_up.parts()
        && let Some(activated) = metal::gated_few(x, gate, up)?
    {
        return Ok(activated);
    }
    swiglu::metal::swiglu(&metal::linear(x, gate_up)?)
}
