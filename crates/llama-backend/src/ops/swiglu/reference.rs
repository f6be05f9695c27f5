//! The definition, through Candle's SiLU.

use candle_core::Tensor;

use crate::BackendError;

/// # Shapes
/// `gate_up`: `[t, 2 f]`; result: `[t, f]`.
pub(super) fn swiglu(gate_up: &Tensor) -> Result<Tensor, BackendError> {
    let (_t, width) = gate_up.dims2()?;
    let gate = gate_up.narrow(1, 0, width / 2)?.contiguous()?; // [t, f]
    let up = gate_up.narrow(1, width / 2, width / 2)?.contiguous()?; // [t, f]
    Ok((gate.silu()? * up)?)
}
