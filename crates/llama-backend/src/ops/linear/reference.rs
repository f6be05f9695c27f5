//! The definition: a matrix product with each decoded weight, results side by side.

use candle_core::{DType, Tensor};

use super::{Activations, Linear, LinearPart};
use crate::BackendError;

/// # Shapes
/// `x`: `[t, k]`; result: `[t, n]`.
pub(super) fn linear(x: &Tensor, layer: &Linear) -> Result<Tensor, BackendError> {
    let rounded = match layer.activations {
        Activations::Int8 if x.device().is_cpu() => Some(rounded(x)?),
        _ => None,
    };
    let outputs = layer.parts.iter().map(|part| match &rounded {
        Some(rounded) if part.weight.mapped().dtype().is_quantized() => linear_part(rounded, part),
        _ => linear_part(x, part),
    });
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

/// Each 32 values of a row as whole multiples, up to 127, of the largest's 127th.
///
/// # Shapes
/// `x`: `[t, k]`; result: the same.
fn rounded(x: &Tensor) -> Result<Tensor, BackendError> {
    let mut values = x.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    for row in values.chunks_mut(x.dim(1)?.max(1)) {
        for block in row.chunks_mut(32) {
            let largest = block.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            let is_finite = block.iter().all(|value| value.is_finite());
            let (scale, inverse) = match largest {
                _ if !is_finite => (f32::NAN, 0.0),
                ..1e-36 => (0.0, 0.0),
                _ => (largest / 127.0, 127.0 / largest),
            };
            block.iter_mut().for_each(|value| *value = (*value * inverse).round_ties_even() * scale);
        }
    }
    Ok(Tensor::from_vec(values, x.shape(), x.device())?.to_dtype(x.dtype())?)
}
