//! Decodes just the rows asked for, straight from the map.

use candle_core::{Device, Tensor};

use crate::{
    BackendError,
    weight::{Weight, decode_row},
};

/// # Shapes
/// `table`: `[v, e]`; result: `[t, e]`.
pub(super) fn embed(tokens: &[u32], table: &Weight) -> Result<Tensor, BackendError> {
    let (table, e) = (table.mapped(), table.cols());
    let mut rows = vec![0.0; tokens.len() * e];
    for (&token, row) in tokens.iter().zip(rows.chunks_exact_mut(e)) {
        decode_row(table.dtype(), table.row(token as usize), row);
    }
    Ok(Tensor::from_vec(rows, (tokens.len(), e), &Device::Cpu)?) // [t, e]
}
