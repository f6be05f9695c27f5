//! Layer normalisation (Ba, Kiros and Hinton, arXiv:1607.06450, equation 4) of a sum.
//!
//! A post-norm layer normalises the residual stream together with what is added to it, so the sum is part of it.

mod cpu;
mod reference;

use candle_core::{D, Tensor};

use super::{Kernels, Op, Path, count};
use crate::{BackendError, weight::Weight};

/// Scale and shift per component, and the constant that keeps the root away from zero.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// `[e]`
    pub weight: Weight,
    /// `[e]`
    pub bias: Weight,
    /// Added to the variance.
    pub eps: f32,
}

/// `(s - mean(s)) / sqrt(var(s) + eps) * weight + bias` with `s = x + y`, over the last dimension, computed in f32.
///
/// # Shapes
/// `x`, `y`: `[t, e]`, last dimension contiguous; result: the same shape, contiguous.
///
/// # Errors
/// [`BackendError::Argument`] for shapes that do not fit; Candle's otherwise.
pub fn layer_norm(
    x: &Tensor,
    y: &Tensor,
    norm: &LayerNorm,
    kernels: Kernels,
) -> Result<Tensor, BackendError> {
    let expected = norm.weight.cols();
    if x.dims2()? != y.dims2()? || x.dim(D::Minus1)? != expected || norm.bias.cols() != expected {
        let reason =
            format!("{:?} and {:?}, weight of {expected}, bias of {}", x.dims(), y.dims(), norm.bias.cols());
        return Err(BackendError::Argument { op: "layer_norm", reason });
    }
    match count::choose(Op::LayerNorm, x.device(), kernels) {
        Path::Cpu => Ok(x.apply_op2_no_bwd(y, &cpu::LayerNormCpu(norm))?),
        _ => reference::layer_norm(x, y, norm),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ops::linear::tests::{values, weight},
        weight::WeightDtype,
    };

    fn norm(dtype: WeightDtype, width: usize) -> LayerNorm {
        LayerNorm { weight: weight(dtype, 1, width), bias: weight(dtype, 1, width), eps: 1e-12 }
    }

    fn tensor(t: usize, width: usize, seed: u32) -> Tensor {
        Tensor::from_vec(values(t * width, seed), (t, width), &Device::Cpu).unwrap()
    }

    fn check(x: &Tensor, y: &Tensor, dtype: WeightDtype, tolerance: f32) {
        let norm = norm(dtype, x.dim(1).unwrap());
        let run = |kernels| layer_norm(x, y, &norm, kernels).unwrap().to_vec2::<f32>().unwrap().concat();
        for (fast, slow) in run(Kernels::Native).iter().zip(run(Kernels::Reference)) {
            assert!((fast - slow).abs() <= tolerance * slow.abs().max(1.0), "{fast} {slow}");
        }
    }

    #[test]
    fn cpu_is_close_to_the_reference() {
        for width in [2, 16, 30, 384] {
            for dtype in [WeightDtype::F32, WeightDtype::Bf16] {
                check(&tensor(3, width, 1), &tensor(3, width, 2), dtype, 4e-6);
                let far = (tensor(40, width, 3) + 100.0).unwrap();
                // The mean is rounded where it is large.
                check(&far, &tensor(40, width, 4), dtype, 1e-4);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn a_row_does_not_depend_on_its_batch(t in 1usize..70, width in 2usize..100, start in 0usize..70) {
            let (x, y, norm) = (tensor(t, width, 5), tensor(t, width, 6), norm(WeightDtype::F32, width));
            let bits = |start: usize, len: usize| -> Vec<u32> {
                let rows = |x: &Tensor| x.narrow(0, start, len).unwrap();
                let y = layer_norm(&rows(&x), &rows(&y), &norm, Kernels::Native).unwrap();
                y.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
            };
            let row = start % t;
            prop_assert_eq!(&bits(0, t)[row * width..(row + 1) * width], bits(row, 1));
        }
    }

    #[test]
    fn strided_views_are_read_in_place() {
        let view = |seed| tensor(4, 60, seed).narrow(1, 20, 40).unwrap();
        check(&view(1), &view(2), WeightDtype::F32, 4e-6);
    }

    #[test]
    fn shapes_that_differ_are_refused() {
        let error =
            layer_norm(&tensor(2, 8, 1), &tensor(3, 8, 1), &norm(WeightDtype::F32, 8), Kernels::Native);
        let message = error.unwrap_err().to_string();
        assert_eq!(message, "layer_norm: [2, 8] and [3, 8], weight of 8, bias of 8");
    }
}
