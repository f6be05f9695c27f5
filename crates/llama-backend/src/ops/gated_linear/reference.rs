//! The definition: the two operations, one after the other.

use candle_core::Tensor;

use crate::{
    BackendError,
    ops::{
        Kernels,
        linear::{Linear, linear},
        swiglu::swiglu,
    },
};

/// # Shapes
/// `x`: `[t, k]`; `gate_up`: `[2 f, k]`; result: `[t, f]`.
pub(super) fn gated_linear(x: &Tensor, gate_up: &Linear) -> Result<Tensor, BackendError> {
    let gate_up = linear(x, gate_up, Kernels::Reference)?; // [t, 2 f]
    swiglu(&gate_up, Kernels::Reference)
}
