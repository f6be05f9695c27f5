//! The CUDA path: one thread for a few sums.

use candle_core::Tensor;

use crate::{
    BackendError,
    cuda::{Argument, Grid, Kernel, device_of, place, uninitialized, vector_len},
};

const OP: &str = "residual";
const KERNEL: Kernel = Kernel { entry: OP, source: include_str!("residual.cu"), constants: &["STEP"] };
const THREADS: usize = 256;

/// # Shapes
/// `x`, `y`: `[t, e]`; result: the same.
pub(super) fn residual(x: &Tensor, y: &Tensor) -> Result<Tensor, BackendError> {
    let (device, (x, y)) = (device_of(x)?, (x.contiguous()?, y.contiguous()?));
    let len = x.elem_count();
    let (left, right) = (place(OP, &x)?, place(OP, &y)?);
    if left.dtype != right.dtype {
        let reason = format!("{:?} and {:?}", left.dtype, right.dtype);
        return Err(BackendError::Argument { op: OP, reason });
    }
    let step = vector_len(&[left, right], len);
    let sum = uninitialized(&device, x.shape(), x.dtype())?;
    let kernel = KERNEL.load(&device, x.dtype(), &[step])?;
    let arguments = [
        Argument::Address(place(OP, &sum)?.address),
        Argument::Address(left.address),
        Argument::Address(right.address),
        Argument::count(OP, len)?,
    ];
    let grid = Grid::new(((len / step).div_ceil(THREADS), 1, 1), THREADS);
    // SAFETY: threads stay below `len`, the size of all three.
    unsafe { kernel.launch(&device, grid, &arguments) }?;
    Ok(sum)
}
