//! The definition: Candle's addition.

use candle_core::Tensor;

use crate::BackendError;

/// # Shapes
/// `x`, `y`: `[t, e]`; result: the same.
pub(super) fn residual(x: &Tensor, y: &Tensor) -> Result<Tensor, BackendError> {
    Ok((x + y)?)
}
