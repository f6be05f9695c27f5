//! The CUDA path: one thread per rotated pair; angles are made on the device too.

use candle_core::{CudaDevice, DType, Device, Tensor};

use super::{RopeLayout, Rotations};
use crate::{
    BackendError,
    cuda::{Argument, Grid, Kernel, device_of, place, uninitialized},
    ops::strides::{RowStrides, contiguous_rows},
};

const OP: &str = "rope";
const ROPE: Kernel =
    Kernel { entry: OP, source: include_str!("rope.cu"), constants: &["HEAD", "LAYOUT_PAIRS"] };
const ROTATIONS: Kernel = Kernel { entry: "rotations", source: include_str!("rotations.cu"), constants: &[] };
/// Most threads of a block.
const MAX_THREADS: usize = 256;

/// # Shapes
/// `x`: `[t, h, d]`; result: the same.
pub(super) fn rope(x: &Tensor, rotations: &Rotations, layout: RopeLayout) -> Result<Tensor, BackendError> {
    let (device, (t, h, d)) = (device_of(x)?, x.dims3()?);
    let x = contiguous_rows(x)?;
    let strides = RowStrides::of(&x);
    let (cos, sin) = (rotations.cos.contiguous()?, rotations.sin.contiguous()?); // [t, d/2]
    let y = uninitialized(&device, (t, h, d), x.dtype())?;
    let kernel = ROPE.load(&device, x.dtype(), &[d, usize::from(layout == RopeLayout::Pairs)])?;
    let arguments = [
        Argument::Address(place(OP, &y)?.address),
        Argument::Address(place(OP, &x)?.address),
        Argument::Address(place(OP, &cos)?.address),
        Argument::Address(place(OP, &sin)?.address),
        Argument::count(OP, h)?,
        Argument::count(OP, strides.outer)?,
        Argument::count(OP, strides.inner)?,
    ];
    let threads = (h * d / 2).next_multiple_of(32).min(MAX_THREADS);
    // SAFETY: `rope` checked that there are angles for each row; a block reads a row of `x` by its strides and writes
    // its row of `y`.
    unsafe { kernel.launch(&device, Grid::new((t, 1, 1), threads), &arguments) }?;
    Ok(y)
}

/// Cosines and sines of all positions.
///
/// # Shapes
/// `positions`: `[t]`; `inverse_frequencies`: `[d/2]`; results: `[t, d/2]`.
pub(super) fn rotations(
    positions: &[u32],
    inverse_frequencies: &[f32],
    (device, dtype): (&CudaDevice, DType),
) -> Result<(Tensor, Tensor), BackendError> {
    let shape = (positions.len(), inverse_frequencies.len());
    let candle_device = Device::Cuda(device.clone());
    let positions = Tensor::new(positions, &candle_device)?; // [t]
    let frequencies = Tensor::new(inverse_frequencies, &candle_device)?; // [d/2]
    let (cos, sin) = (uninitialized(device, shape, dtype)?, uninitialized(device, shape, dtype)?);
    let kernel = ROTATIONS.load(device, dtype, &[])?;
    let len = shape.0 * shape.1;
    let arguments = [
        Argument::Address(place(OP, &cos)?.address),
        Argument::Address(place(OP, &sin)?.address),
        Argument::Address(place(OP, &positions)?.address),
        Argument::Address(place(OP, &frequencies)?.address),
        Argument::count(OP, shape.1)?,
        Argument::count(OP, len)?,
    ];
    let grid = Grid::new((len.div_ceil(MAX_THREADS), 1, 1), MAX_THREADS);
    // SAFETY: threads stay below `len`, the size of both outputs; positions and frequencies are as long as its factors.
    unsafe { kernel.launch(device, grid, &arguments) }?;
    Ok((cos, sin)) // [t, d/2]
}
