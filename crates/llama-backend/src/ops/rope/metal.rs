//! The Metal path: one thread per pair of components.

use candle_core::Tensor;

use super::{RopeLayout, Rotations};
use crate::{
    BackendError,
    metal::{Dispatch, Kernel, Operand, Output, RopeArgs, Source, suffix},
};

/// # Shapes
/// `x`: `[t, h, d]`; result: the same, contiguous.
pub(super) fn rope(x: &Tensor, rotations: &Rotations, layout: RopeLayout) -> Result<Tensor, BackendError> {
    let (t, h, d) = x.dims3()?;
    let Rotations { cos, sin } = rotations;
    if cos.dtype() != x.dtype() {
        let reason = format!("input in {:?}, angles in {:?}", x.dtype(), cos.dtype());
        return Err(BackendError::Argument { op: "rope", reason });
    }
    let operand = |tensor| Operand::new("rope", tensor);
    let (input, cosines, sines) = (operand(x)?, operand(cos)?, operand(sin)?);
    let num_pairs = t * h * d / 2;
    let kernel = Kernel {
        source: Source::Rope,
        function: format!("rope_{}", suffix("rope", x.dtype())?),
        constants: Vec::new(),
    };
    let arguments = RopeArgs {
        num_pairs: num_pairs as u32,
        num_heads: h as u32,
        half_dim: d as u32 / 2,
        row_stride: input.stride(0),
        head_stride: input.stride(1),
        adjacent: u32::from(layout == RopeLayout::Pairs),
    };
    let output = Output::new(input.device(), x.shape(), x.dtype())?;
    Dispatch::new(input.device(), &kernel)?
        .input(&input)
        .input(&cosines)
        .input(&sines)
        .output(&output)
        .arguments(&arguments)
        .run_each(num_pairs);
    Ok(output.into_tensor())
}
