//! The Metal path: one thread per value; the cache is written in place.

use candle_core::Tensor;

use super::Slots;
use crate::{
    BackendError,
    metal::{Dispatch, Kernel, KvWriteArgs, Operand, Source, format, suffix},
};

/// # Shapes
/// `cache`: `[n * p, g, d]`; `rows`: `[t, g, d]`; `slots`: `[t]`.
pub(super) fn kv_write(cache: &Tensor, rows: &Tensor, slots: &Slots) -> Result<(), BackendError> {
    let (t, g, d) = rows.dims3()?;
    if !cache.is_contiguous() {
        let reason = format!("the cache must be contiguous, strides are {:?}", cache.stride());
        return Err(BackendError::Argument { op: "kv_write", reason });
    }
    let operand = |tensor| Operand::new("kv_write", tensor);
    let slots = slots.tensor(cache.device())?;
    let (input, slots, cache_operand) = (operand(rows)?, operand(&slots)?, operand(cache)?);
    let kernel = Kernel {
        source: Source::KvWrite,
        function: format!("kv_write_{}", suffix("kv_write", cache.dtype())?),
        constants: vec![format("kv_write", rows.dtype())?],
    };
    let arguments = KvWriteArgs {
        num_values: (t * g * d) as u32,
        num_heads: g as u32,
        head_dim: d as u32,
        row_stride: input.stride(0),
        head_stride: input.stride(1),
        padding: 0,
    };
    Dispatch::new(input.device(), &kernel)?
        .input(&input)
        .input(&slots)
        .in_place(&cache_operand)
        .arguments(&arguments)
        .run_each(t * g * d);
    Ok(())
}
