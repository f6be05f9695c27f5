//! The Metal path: one thread per output.

use candle_core::Tensor;

use crate::{
    BackendError,
    metal::{Dispatch, Kernel, Operand, Output, ResidualArgs, Source, suffix},
};

/// # Shapes
/// `x`, `y`: `[t, e]`; result: the same.
pub(super) fn residual(x: &Tensor, y: &Tensor) -> Result<Tensor, BackendError> {
    let (t, e) = x.dims2()?;
    if x.dtype() != y.dtype() {
        let reason = format!("{:?} and {:?}", x.dtype(), y.dtype());
        return Err(BackendError::Argument { op: "residual", reason });
    }
    let (x_operand, y_operand) = (Operand::new("residual", x)?, Operand::new("residual", y)?);
    let kernel = Kernel {
        source: Source::Residual,
        function: format!("residual_{}", suffix("residual", x.dtype())?),
        constants: Vec::new(),
    };
    let arguments = ResidualArgs {
        num_values: (t * e) as u32,
        width: e as u32,
        x_stride: x_operand.stride(0),
        y_stride: y_operand.stride(0),
    };
    let output = Output::new(x_operand.device(), (t, e), x.dtype())?;
    Dispatch::new(x_operand.device(), &kernel)?
        .input(&x_operand)
        .input(&y_operand)
        .output(&output)
        .arguments(&arguments)
        .run_each(t * e);
    Ok(output.into_tensor())
}
