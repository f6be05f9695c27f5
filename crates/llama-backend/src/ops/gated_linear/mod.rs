//! Gate and up projection and their gated activation, as one operation (Shazeer, arXiv:2002.05202, equation 6).
//!
//! The two projections of a prompt are the largest matrices of a step, and nobody needs them as a whole.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "metal")]
mod metal;
mod reference;

use candle_core::Tensor;

use super::{Kernels, Op, Path, count, linear::Linear};
use crate::BackendError;

/// `silu(x gateᵀ) * (x upᵀ)`. `gate_up` has two parts of equal size, the gate first.
///
/// # Shapes
/// `x`: `[t, k]`; `gate_up`: `[2 f, k]`; result: `[t, f]`.
///
/// # Errors
/// [`BackendError::Argument`] for inputs or weights that do not fit; Candle's otherwise.
pub fn gated_linear(x: &Tensor, gate_up: &Linear, kernels: Kernels) -> Result<Tensor, BackendError> {
    let (_t, k) = x.dims2()?;
    let wrong = |reason| Err(BackendError::Argument { op: "gated_linear", reason });
    if k != gate_up.in_features() || k == 0 {
        return wrong(format!("input has {k} features, the weights take {}", gate_up.in_features()));
    }
    match gate_up.parts() {
        [gate, up] if gate.weight.rows() == up.weight.rows() => {}
        parts => {
            let rows: Vec<usize> = parts.iter().map(|part| part.weight.rows()).collect();
            return wrong(format!("weights of {rows:?} rows, expected two of equally many"));
        }
    }
    match count::choose(Op::GatedLinear, x.device(), kernels) {
        Path::Cpu => Ok(x.apply_op1_no_bwd(&cpu::GatedLinearCpu(gate_up))?),
        #[cfg(feature = "metal")]
        Path::Metal => metal::gated_linear(x, gate_up),
        #[cfg(feature = "cuda")]
        Path::Cuda => cuda::gated_linear(x, gate_up),
        _ => reference::gated_linear(x, gate_up),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ops::{
            linear::{
                Activations, LinearPart, linear,
                tests::{values, weight},
            },
            swiglu::swiglu,
        },
        weight::WeightDtype,
    };

    fn layer(dtypes: [WeightDtype; 2], f: usize, k: usize, biases: bool) -> Linear {
        let part = |dtype| LinearPart {
            weight: weight(dtype, f, k),
            bias: biases.then(|| weight(WeightDtype::F32, 1, f)),
        };
        Linear::new(dtypes.map(part).into()).unwrap()
    }

    fn input(t: usize, k: usize) -> Tensor {
        Tensor::from_vec(values(t * k, 5), (t, k), &Device::Cpu).unwrap()
    }

    fn bits(x: &Tensor) -> Vec<u32> {
        let values = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn the_bits_are_those_of_the_two_operations(
            gate in 0..WeightDtype::ALL.len(), up in 0..WeightDtype::ALL.len(), t in 1usize..40, f in 1usize..150,
            biases: bool, is_int8: bool,
        ) {
            let dtypes = [gate, up].map(|i| WeightDtype::ALL[i]);
            let activations = if is_int8 { Activations::Int8 } else { Activations::Exact };
            let layer = layer(dtypes, f, 256, biases).with_activations(activations);
            let x = input(t, 256);
            let apart = swiglu(&linear(&x, &layer, Kernels::Native).unwrap(), Kernels::Native).unwrap();
            let fused = gated_linear(&x, &layer, Kernels::Native).unwrap();
            prop_assert_eq!(fused.dims(), &[t, f]);
            prop_assert!(bits(&fused) == bits(&apart));
        }
    }

    #[test]
    fn cpu_is_close_to_the_reference() {
        let (x, layer) = (input(7, 96), layer([WeightDtype::F32, WeightDtype::Bf16], 50, 96, true));
        let run = |kernels| gated_linear(&x, &layer, kernels).unwrap().to_vec2::<f32>().unwrap().concat();
        for (fast, slow) in run(Kernels::Native).into_iter().zip(run(Kernels::Reference)) {
            assert!((fast - slow).abs() <= 1e-4 * slow.abs().max(1.0), "{fast} {slow}");
        }
    }

    #[test]
    fn weights_that_are_no_pair_are_refused() {
        let one = Linear::from_weight(weight(WeightDtype::F32, 4, 8));
        let error = gated_linear(&input(2, 8), &one, Kernels::Native).unwrap_err().to_string();
        assert_eq!(error, "gated_linear: weights of [4] rows, expected two of equally many");
        let error = gated_linear(&input(2, 9), &one, Kernels::Native).unwrap_err().to_string();
        assert_eq!(error, "gated_linear: input has 9 features, the weights take 8");
    }
}
