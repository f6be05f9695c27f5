//! The CUDA path: one block per token.

use candle_core::Tensor;

use crate::{
    BackendError,
    cuda::{Argument, Grid, Kernel, device_of, place, uninitialized},
    weight::Weight,
};

const OP: &str = "embed";
const KERNEL: Kernel = Kernel { entry: OP, source: include_str!("embed.cu"), constants: &[] };
const THREADS: usize = 256;

/// # Shapes
/// `table`: `[v, e]`; result: `[t, e]`.
pub(super) fn embed(tokens: &[u32], table: &Weight) -> Result<Tensor, BackendError> {
    let (e, t) = (table.cols(), tokens.len());
    let tokens = Tensor::new(tokens, table.device())?; // [t]
    let (device, table) = (device_of(&tokens)?, table.tensor()?);
    let y = uninitialized(&device, (t, e), table.dtype())?;
    let kernel = KERNEL.load(&device, table.dtype(), &[])?;
    let arguments = [
        Argument::Address(place(OP, &y)?.address),
        Argument::Address(place(OP, &table)?.address),
        Argument::Address(place(OP, &tokens)?.address),
        Argument::count(OP, e)?,
    ];
    // SAFETY: `embed` checked that the table has each token; a block writes its row of `y`.
    unsafe { kernel.launch(&device, Grid::new((t, 1, 1), THREADS), &arguments) }?;
    Ok(y)
}
