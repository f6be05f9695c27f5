//! The sum of the residual stream and what a layer adds to it.
//!
//! Candle's own addition wakes a thread pool of its own, which fights with ours for the cores: more than the work.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "metal")]
mod metal;
mod reference;

use candle_core::Tensor;

use super::{Kernels, Op, Path, count};
use crate::BackendError;

/// `x + y`.
///
/// # Shapes
/// `x`, `y`: `[t, e]`; result: the same.
///
/// # Errors
/// [`BackendError::Argument`] for shapes that differ; Candle's otherwise.
pub fn residual(x: &Tensor, y: &Tensor, kernels: Kernels) -> Result<Tensor, BackendError> {
    if x.dims2()? != y.dims2()? {
        let reason = format!("{:?} and {:?}", x.dims(), y.dims());
        return Err(BackendError::Argument { op: "residual", reason });
    }
    match count::choose(Op::Residual, x.device(), kernels) {
        Path::Cpu => Ok(x.apply_op2_no_bwd(y, &cpu::ResidualCpu)?),
        #[cfg(feature = "metal")]
        Path::Metal => metal::residual(x, y),
        #[cfg(feature = "cuda")]
        Path::Cuda => cuda::residual(x, y),
        _ => reference::residual(x, y),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::ops::linear::tests::values;

    #[test]
    fn cpu_equals_the_reference() {
        for (t, e) in [(1, 1), (1, 576), (40, 33)] {
            let tensor = |seed| Tensor::from_vec(values(t * e, seed), (t, e), &Device::Cpu).unwrap();
            let run = |kernels| {
                let sum = residual(&tensor(1), &tensor(2), kernels).unwrap();
                sum.to_vec2::<f32>().unwrap()
            };
            assert_eq!(run(Kernels::Native), run(Kernels::Reference));
        }
    }

    #[test]
    fn shapes_that_differ_are_refused() {
        let tensor = |t| Tensor::from_vec(values(t, 1), (t, 1), &Device::Cpu).unwrap();
        let error = residual(&tensor(2), &tensor(3), Kernels::Native).unwrap_err();
        assert_eq!(error.to_string(), "residual: [2, 1] and [3, 1]");
    }
}
