//! The Metal path: one thread per output.

use candle_core::Tensor;

use crate::{
    BackendError,
    metal::{Dispatch, Kernel, Operand, Output, Source, SwiGluArgs, suffix},
};

/// # Shapes
/// `gate_up`: `[t, 2 f]`; result: `[t, f]`.
pub(in crate::ops) fn swiglu(gate_up: &Tensor) -> Result<Tensor, BackendError> {
    let (t, width) = gate_up.dims2()?;
    let f = width / 2;
    let input = Operand::new("swiglu", gate_up)?;
    let kernel = Kernel {
        source: Source::SwiGlu,
        function: format!("swiglu_{}", suffix("swiglu", gate_up.dtype())?),
        constants: Vec::new(),
    };
    let arguments =
        SwiGluArgs { num_values: (t * f) as u32, width: f as u32, row_stride: input.stride(0), padding: 0 };
    let output = Output::new(input.device(), (t, f), gate_up.dtype())?;
    Dispatch::new(input.device(), &kernel)?
        .input(&input)
        .output(&output)
        .arguments(&arguments)
        .run_each(t * f);
    Ok(output.into_tensor())
}
