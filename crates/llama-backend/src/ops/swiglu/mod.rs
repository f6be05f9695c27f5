//! The gated activation of the feed-forward layer (Shazeer, arXiv:2002.05202, equation 6).

pub(in crate::ops) mod cpu;
#[cfg(feature = "cuda")]
pub(in crate::ops) mod cuda;
#[cfg(feature = "metal")]
pub(in crate::ops) mod metal;
mod reference;

use candle_core::Tensor;

use super::{Kernels, Op, Path, count};
use crate::BackendError;

/// `silu(gate) * up`, with gate and up side by side.
///
/// # Shapes
/// `gate_up`: `[t, 2 f]`; result: `[t, f]`.
///
/// # Errors
/// Candle's, for shapes that do not fit.
pub fn swiglu(gate_up: &Tensor, kernels: Kernels) -> Result<Tensor, BackendError> {
    match count::choose(Op::SwiGlu, gate_up.device(), kernels) {
        Path::Cpu => Ok(gate_up.apply_op1_no_bwd(&cpu::SwiGluCpu)?),
        #[cfg(feature = "metal")]
        Path::Metal => metal::swiglu(gate_up),
        #[cfg(feature = "cuda")]
        Path::Cuda => cuda::swiglu(gate_up),
        _ => reference::swiglu(gate_up),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::ops::linear::tests::values;

    fn check(t: usize, f: usize, scale: f32) {
        let values = values(t * 2 * f, 11).into_iter().map(|x| x * scale).collect();
        let x = Tensor::from_vec(values, (t, 2 * f), &Device::Cpu).unwrap();
        let run = |kernels| swiglu(&x, kernels).unwrap().to_vec2::<f32>().unwrap();
        let pairs = run(Kernels::Native).into_iter().flatten().zip(run(Kernels::Reference).concat());
        for (fast, slow) in pairs {
            assert!((fast - slow).abs() <= 1e-6 * slow.abs().max(1e-6 * scale), "{fast} {slow}");
        }
    }

    #[test]
    fn cpu_is_close_to_the_reference() {
        for (t, f) in [(1, 1), (3, 40), (40, 64)] {
            check(t, f, 1.0);
            check(t, f, 20.0);
            check(t, f, 1e4);
        }
    }
}
