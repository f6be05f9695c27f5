//! The CUDA path: one thread for a few results.

use candle_core::Tensor;

use crate::{
    BackendError,
    cuda::{Argument, Grid, Kernel, device_of, place, uninitialized, vector_len},
};

const OP: &str = "swiglu";
const KERNEL: Kernel = Kernel { entry: OP, source: include_str!("swiglu.cu"), constants: &["STEP"] };
const THREADS: usize = 256;

/// # Shapes
/// `gate_up`: `[t, 2 f]`; result: `[t, f]`.
pub(in crate::ops) fn swiglu(gate_up: &Tensor) -> Result<Tensor, BackendError> {
    let (device, (t, width)) = (device_of(gate_up)?, gate_up.dims2()?);
    let f = width / 2;
    let gate_up = gate_up.contiguous()?; // [t, 2 f]
    let from = place(OP, &gate_up)?;
    let step = vector_len(&[from], f);
    let y = uninitialized(&device, (t, f), gate_up.dtype())?;
    let kernel = KERNEL.load(&device, gate_up.dtype(), &[step])?;
    let arguments =
        [Argument::Address(place(OP, &y)?.address), Argument::Address(from.address), Argument::count(OP, f)?];
    let grid = Grid::new((t, (f / step).div_ceil(THREADS), 1), THREADS);
    // SAFETY: threads stay below `f`, so they read a row's two halves and write its row of `y`.
    unsafe { kernel.launch(&device, grid, &arguments) }?;
    Ok(y)
}
