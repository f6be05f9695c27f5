//! The definition: an in-place scatter along the slots.

use candle_core::Tensor;

use super::Slots;
use crate::BackendError;

/// # Shapes
/// `cache`: `[n * p, g, d]`; `rows`: `[t, g, d]`; `slots`: `[t]`.
pub(super) fn kv_write(cache: &Tensor, rows: &Tensor, slots: &Slots) -> Result<(), BackendError> {
    let (t, g, d) = rows.dims3()?;
    let slots = slots.tensor(cache.device())?.reshape((t, 1, 1))?; // [t, 1, 1]
    let slots = slots.broadcast_as((t, g, d))?.contiguous()?; // [t, g, d]
    let rows = rows.to_dtype(cache.dtype())?.contiguous()?; // the cache may be stored shorter
    Ok(cache.scatter_set(&slots, &rows, 0)?)
}
