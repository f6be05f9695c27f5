//! The definition, in f32 whatever the dtype of `x`.

use candle_core::{D, DType, Tensor};

use super::LayerNorm;
use crate::BackendError;

/// # Shapes
/// `x`, `y`: `[t, e]`; result: the same.
pub(super) fn layer_norm(x: &Tensor, y: &Tensor, norm: &LayerNorm) -> Result<Tensor, BackendError> {
    let sum = (x.to_dtype(DType::F32)? + y.to_dtype(DType::F32)?)?; // squares of half types overflow
    let centered = sum.broadcast_sub(&sum.mean_keepdim(D::Minus1)?)?; // [t, e]
    let variance = centered.sqr()?.mean_keepdim(D::Minus1)?; // [t, 1]
    let scaled = centered.broadcast_div(&(variance + f64::from(norm.eps))?.sqrt()?)?;
    let (weight, bias) = (norm.weight.tensor()?.flatten_all()?, norm.bias.tensor()?.flatten_all()?);
    let scaled = scaled.broadcast_mul(&weight.to_dtype(DType::F32)?)?;
    Ok(scaled.broadcast_add(&bias.to_dtype(DType::F32)?)?.to_dtype(x.dtype())?) // [t, e]
}
