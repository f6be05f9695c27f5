//! The definition, through Candle's GELU with the error function.

use candle_core::Tensor;

use crate::{
    BackendError,
    ops::{
        Kernels,
        linear::{Linear, linear},
    },
};

/// # Shapes
/// `x`: `[t, k]`; result: `[t, f]`.
pub(super) fn gelu_linear(x: &Tensor, layer: &Linear, kernels: Kernels) -> Result<Tensor, BackendError> {
    Ok(linear(x, layer, kernels)?.gelu_erf()?) // [t, f]
}
