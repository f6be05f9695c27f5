//! The CUDA path: one block per row.

use candle_core::Tensor;

use super::Slots;
use crate::{
    BackendError,
    cuda::{Argument, Grid, Kernel, device_of, place},
    ops::strides::{RowStrides, contiguous_rows},
};

const OP: &str = "kv_write";
const KERNEL: Kernel = Kernel { entry: OP, source: include_str!("kv_write.cu"), constants: &[] };
/// Most threads of a block.
const MAX_THREADS: usize = 256;

/// # Shapes
/// `cache`: `[n * p, g, d]`; `rows`: `[t, g, d]`; `slots`: `[t]`.
pub(super) fn kv_write(cache: &Tensor, rows: &Tensor, slots: &Slots) -> Result<(), BackendError> {
    let (device, (t, g, d)) = (device_of(cache)?, rows.dims3()?);
    if !cache.is_contiguous() {
        return Err(BackendError::Argument { op: OP, reason: format!("cache {:?}", cache.layout()) });
    }
    let rows = contiguous_rows(&rows.to_dtype(cache.dtype())?)?; // the cache may be stored shorter
    let strides = RowStrides::of(&rows);
    let slots = slots.tensor(cache.device())?; // [t]
    let kernel = KERNEL.load(&device, cache.dtype(), &[])?;
    let arguments = [
        Argument::Address(place(OP, cache)?.address),
        Argument::Address(place(OP, &rows)?.address),
        Argument::Address(place(OP, &slots)?.address),
        Argument::count(OP, g)?,
        Argument::count(OP, d)?,
        Argument::count(OP, strides.outer)?,
        Argument::count(OP, strides.inner)?,
    ];
    let threads = (g * d).next_multiple_of(32).min(MAX_THREADS);
    // SAFETY: `kv_write` checked that each slot lies in the cache and that there is one per row; no two are equal, so no
    // two blocks write the same place.
    unsafe { kernel.launch(&device, Grid::new((t, 1, 1), threads), &arguments) }
}
