//! The definition, in f32 whatever the dtype of `x`.

use candle_core::{D, DType, Tensor};

use super::RmsNorm;
use crate::BackendError;

/// # Shapes
/// `x`: `[.., e]`; result: the same.
pub(super) fn rms_norm(x: &Tensor, norm: &RmsNorm) -> Result<Tensor, BackendError> {
    let wide = x.to_dtype(DType::F32)?; // squares of half types overflow
    let mean_square = wide.sqr()?.mean_keepdim(D::Minus1)?; // [.., 1]
    let scaled = wide.broadcast_div(&(mean_square + f64::from(norm.eps))?.sqrt()?)?;
    let weight = norm.weight.tensor()?.flatten_all()?;
    Ok(scaled.to_dtype(x.dtype())?.broadcast_mul(&weight)?) // [.., e]
}
