//! The definition: a matrix product with each decoded weight, results side by side.

use candle_core::Tensor;

use super::{Linear, LinearPart};
use crate::BackendError;

/// # Shapes
/// `x`: `[t, k]`; result: `[t, n]`.
pub(super) fn linear(x: &Tensor, layer: &Linear) -> Result<Tensor, BackendError> {
    let outputs = layer.parts.iter().map(|part| linear_part(x, part));
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::cat(&outputs, 1)?) // [t, n]
}

fn linear_part(x: &Tensor, part: &LinearPart) -> Result<Tensor, BackendError> {
    let y = x.contiguous()?.matmul(&part.weight.tensor()?.t()?)?; // [t, n of the part]
    Ok(match &part.bias {
        Some(bias) => y.broadcast_add(&bias.tensor()?.flatten_all()?)?,
        None => y,
    })
}
