//! The Metal path: one threadgroup per row.

use candle_core::{D, Tensor};

use super::RmsNorm;
use crate::{
    BackendError,
    metal::{Dispatch, Kernel, Operand, Output, RmsNormArgs, Source, suffix},
};

/// # Shapes
/// `x`: `[.., e]`; result: the same, contiguous.
pub(super) fn rms_norm(x: &Tensor, norm: &RmsNorm) -> Result<Tensor, BackendError> {
    let width = x.dim(D::Minus1)?;
    let weight = norm.weight.stored()?;
    let input = Operand::new("rms_norm", x)?;
    let rows = input.rows("rms_norm")?;
    let kernel = Kernel {
        source: Source::RmsNorm,
        function: format!("rms_norm_{}", suffix("rms_norm", x.dtype())?),
        constants: vec![weight.format()],
    };
    let num_simdgroups = width.div_ceil(128).clamp(1, 8); // four values of a row for each thread
    let arguments = RmsNormArgs {
        weight_offset: weight.offset(),
        width: width as u32,
        inner_rows: rows.inner as u32,
        outer_stride: rows.outer_stride as u32,
        inner_stride: rows.inner_stride as u32,
        eps: norm.eps,
        num_simdgroups: num_simdgroups as u32,
    };
    let output = Output::new(input.device(), x.shape(), x.dtype())?;
    Dispatch::new(input.device(), &kernel)?
        .input(&input)
        .stored(weight)
        .output(&output)
        .arguments(&arguments)
        .threadgroup_bytes(4 * num_simdgroups)
        .run([rows.len(), 1, 1], 32 * num_simdgroups);
    Ok(output.into_tensor())
}
