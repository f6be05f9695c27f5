//! A projection and its activation by GELU (Hendrycks and Gimpel, arXiv:1606.08415), as one operation.
//!
//! The activation is the exact one, with the error function, that BERT is trained with; not its approximation by tanh.

mod cpu;
mod gelu;
mod reference;

use candle_core::Tensor;

use super::{Kernels, Op, Path, count, linear::Linear};
use crate::BackendError;

/// `gelu(x Wᵀ + b)` with `gelu(x) = x (1 + erf(x / √2)) / 2`. `layer` has one part.
///
/// # Shapes
/// `x`: `[t, k]`; `layer`: `[f, k]`; result: `[t, f]`.
///
/// # Errors
/// [`BackendError::Argument`] for inputs or weights that do not fit; Candle's otherwise.
pub fn gelu_linear(x: &Tensor, layer: &Linear, kernels: Kernels) -> Result<Tensor, BackendError> {
    let (_t, k) = x.dims2()?;
    let wrong = |reason| Err(BackendError::Argument { op: "gelu_linear", reason });
    if k != layer.in_features() || k == 0 {
        return wrong(format!("input has {k} features, the weights take {}", layer.in_features()));
    }
    let [part] = layer.parts() else {
        return wrong(format!("{} weights, expected one", layer.parts().len()));
    };
    match count::choose(Op::GeluLinear, x.device(), kernels) {
        Path::Cpu => Ok(x.apply_op1_no_bwd(&cpu::GeluLinearCpu { layer, part })?),
        _ => reference::gelu_linear(x, layer, kernels),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ops::linear::{
            LinearPart,
            tests::{values, weight},
        },
        weight::WeightDtype,
    };

    fn layer(dtype: WeightDtype, f: usize, k: usize) -> Linear {
        let bias = Some(weight(WeightDtype::F32, 1, f));
        Linear::new(vec![LinearPart { weight: weight(dtype, f, k), bias }]).unwrap()
    }

    fn input(t: usize, k: usize) -> Tensor {
        Tensor::from_vec(values(t * k, 5), (t, k), &Device::Cpu).unwrap()
    }

    fn check(t: usize, f: usize, k: usize, dtype: WeightDtype) {
        let (x, layer) = (input(t, k), layer(dtype, f, k));
        let run = |kernels| gelu_linear(&x, &layer, kernels).unwrap().to_vec2::<f32>().unwrap().concat();
        for (fast, slow) in run(Kernels::Native).into_iter().zip(run(Kernels::Reference)) {
            assert!((fast - slow).abs() <= 1e-6 * k as f32 * slow.abs().max(1.0), "{fast} {slow}");
        }
    }

    #[test]
    fn cpu_is_close_to_the_reference() {
        for (t, f) in [(1, 1), (3, 40), (7, 50), (40, 97)] {
            check(t, f, 96, WeightDtype::F32);
            check(t, f, 96, WeightDtype::Bf16);
            check(t, f, 96, WeightDtype::Q8_0);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn a_row_does_not_depend_on_its_batch(t in 1usize..40, f in 1usize..70, start in 0usize..40) {
            let (x, layer, start) = (input(t, 64), layer(WeightDtype::F32, f, 64), start % t);
            let bits = |x: &Tensor| -> Vec<u32> {
                let y = gelu_linear(x, &layer, Kernels::Native).unwrap();
                y.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
            };
            let whole = bits(&x);
            prop_assert_eq!(&whole[start * f..(start + 1) * f], bits(&x.narrow(0, start, 1).unwrap()));
        }
    }

    #[test]
    fn several_weights_are_refused() {
        let parts = vec![LinearPart { weight: weight(WeightDtype::F32, 4, 8), bias: None }; 2];
        let error = gelu_linear(&input(2, 8), &Linear::new(parts).unwrap(), Kernels::Native).unwrap_err();
        assert_eq!(error.to_string(), "gelu_linear: 2 weights, expected one");
    }
}
