//! The CUDA path: one block per row.

use candle_core::{D, Tensor};

use super::RmsNorm;
use crate::{
    BackendError,
    cuda::{Argument, Grid, Kernel, device_of, place, uninitialized},
    ops::strides::{RowStrides, contiguous_rows},
};

const OP: &str = "rms_norm";
const KERNEL: Kernel =
    Kernel { entry: OP, source: include_str!("rms_norm.cu"), constants: &["WIDTH", "THREADS"] };
/// Most threads of a block.
const MAX_THREADS: usize = 256;

/// # Shapes
/// `x`: `[.., e]`; result: the same.
pub(super) fn rms_norm(x: &Tensor, norm: &RmsNorm) -> Result<Tensor, BackendError> {
    let (device, width) = (device_of(x)?, x.dim(D::Minus1)?);
    let x = contiguous_rows(x)?;
    let RowStrides { num_outer, num_inner, outer, inner } = RowStrides::of(&x);
    let weight = norm.weight.tensor()?;
    let y = uninitialized(&device, x.shape(), x.dtype())?;
    let threads = width.next_multiple_of(32).min(MAX_THREADS);
    let kernel = KERNEL.load(&device, x.dtype(), &[width, threads])?;
    let arguments = [
        Argument::Address(place(OP, &y)?.address),
        Argument::Address(place(OP, &x)?.address),
        Argument::Address(place(OP, &weight)?.address),
        Argument::Factor(norm.eps),
        Argument::count(OP, num_inner)?,
        Argument::count(OP, outer)?,
        Argument::count(OP, inner)?,
    ];
    let grid = Grid::new((num_outer * num_inner, 1, 1), threads);
    // SAFETY: a block reads a row of `x` by its strides, and the weight, which `rms_norm` found as wide; it writes its
    // row of `y`.
    unsafe { kernel.launch(&device, grid, &arguments) }?;
    Ok(y)
}
