//! Root mean square normalisation (Zhang and Sennrich, arXiv:1910.07467, equation 4).

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "metal")]
mod metal;
mod reference;

use candle_core::{D, Tensor};

use super::{Kernels, Op, Path, count};
use crate::{BackendError, weight::Weight};

/// Scale per component, and the constant that keeps the root away from zero.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    /// `[e]`
    pub weight: Weight,
    /// Added to the mean square.
    pub eps: f32,
}

/// `x / sqrt(mean(x²) + eps) * weight` over the last dimension, computed in f32.
///
/// # Shapes
/// `x`: `[.., e]` of rank 1 to 3, last dimension contiguous; result: the same shape, contiguous.
///
/// # Errors
/// Candle's, for shapes that do not fit.
pub fn rms_norm(x: &Tensor, norm: &RmsNorm, kernels: Kernels) -> Result<Tensor, BackendError> {
    let (width, expected) = (x.dim(D::Minus1)?, norm.weight.cols());
    if width != expected {
        return Err(BackendError::Argument {
            op: "rms_norm",
            reason: format!("input rows have {width} components, the weight has {expected}"),
        });
    }
    match count::choose(Op::RmsNorm, x.device(), kernels) {
        Path::Cpu => Ok(x.apply_op1_no_bwd(&cpu::RmsNormCpu(norm))?),
        #[cfg(feature = "metal")]
        Path::Metal => metal::rms_norm(x, norm),
        #[cfg(feature = "cuda")]
        Path::Cuda => cuda::rms_norm(x, norm),
        _ => reference::rms_norm(x, norm),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::{
        ops::linear::tests::{values, weight},
        weight::WeightDtype,
    };

    fn check(x: &Tensor, dtype: WeightDtype) {
        let norm = RmsNorm { weight: weight(dtype, 1, x.dim(D::Minus1).unwrap()), eps: 1e-5 };
        let run = |kernels| -> Vec<f32> {
            let y = rms_norm(x, &norm, kernels).unwrap();
            assert_eq!(y.dims(), x.dims());
            y.flatten_all().unwrap().to_vec1().unwrap()
        };
        for (fast, slow) in run(Kernels::Native).iter().zip(run(Kernels::Reference)) {
            assert!((fast - slow).abs() <= 2e-6 * slow.abs().max(1e-3), "{fast} {slow}");
        }
    }

    #[test]
    fn cpu_is_close_to_the_reference() {
        for width in [1, 16, 30, 576] {
            let x = Tensor::from_vec(values(3 * width, 1), (3, width), &Device::Cpu).unwrap();
            check(&x, WeightDtype::F32);
            check(&x, WeightDtype::Bf16);
        }
    }

    #[test]
    fn strided_views_are_read_in_place() {
        let x = Tensor::from_vec(values(240, 2), (4, 60), &Device::Cpu).unwrap();
        let heads = x.narrow(1, 20, 40).unwrap().reshape((4, 40)).unwrap();
        check(&heads, WeightDtype::F32);
        let heads = Tensor::from_vec(values(240, 2), (4, 3, 20), &Device::Cpu).unwrap();
        check(&heads.narrow(1, 1, 2).unwrap(), WeightDtype::F32);
    }

    #[test]
    fn a_zero_row_stays_zero() {
        check(&Tensor::zeros((2, 32), candle_core::DType::F32, &Device::Cpu).unwrap(), WeightDtype::F32);
    }
}
