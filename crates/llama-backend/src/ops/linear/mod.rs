//! Matrix products with weights: `y = x Wᵀ + b`, several weights side by side.

mod activations;
pub(in crate::ops) mod cpu;
#[cfg(feature = "cuda")]
pub(in crate::ops) mod cuda;
mod few;
mod int8;
#[cfg(feature = "metal")]
pub(in crate::ops) mod metal;
mod outer;
mod reference;

pub use activations::Activations;
use candle_core::Tensor;

use super::{Kernels, Op, Path, count};
use crate::{BackendError, weight::Weight};

/// One weight matrix and its bias.
#[derive(Clone, Debug)]
pub struct LinearPart {
    /// `[n, k]`
    pub weight: Weight,
    /// `[n]`
    pub bias: Option<Weight>,
}

/// One or more weights that read the same input, such as query, key and value: one parallel region, one output,
/// and no copy of the weights to join them.
#[derive(Clone, Debug)]
pub struct Linear {
    parts: Vec<LinearPart>,
    in_features: usize,
    out_features: usize,
    activations: Activations,
}

impl Linear {
    /// Joins weights of equal input size.
    ///
    /// # Errors
    /// [`BackendError::Argument`] if there is none, or their shapes disagree.
    pub fn new(parts: Vec<LinearPart>) -> Result<Self, BackendError> {
        let wrong = |reason: String| BackendError::Argument { op: "linear", reason };
        let in_features = match parts.first() {
            Some(part) => part.weight.cols(),
            None => return Err(wrong("no weight".to_owned())),
        };
        for LinearPart { weight, bias } in &parts {
            if weight.cols() != in_features {
                return Err(wrong(format!(
                    "{:?} has {} input features, expected {in_features}",
                    weight.mapped(),
                    weight.cols()
                )));
            }
            if let Some(bias) = bias.as_ref().filter(|bias| bias.cols() != weight.rows()) {
                return Err(wrong(format!("bias {:?} for {:?}", bias.mapped(), weight.mapped())));
            }
        }
        let out_features = parts.iter().map(|part| part.weight.rows()).sum();
        Ok(Self { parts, in_features, out_features, activations: Activations::default() })
    }

    /// One weight without bias.
    pub fn from_weight(weight: Weight) -> Self {
        let (in_features, out_features) = (weight.cols(), weight.rows());
        let parts = vec![LinearPart { weight, bias: None }];
        Self { parts, in_features, out_features, activations: Activations::default() }
    }

    /// Chooses how quantised weights see their input.
    #[must_use]
    pub fn with_activations(self, activations: Activations) -> Self {
        Self { activations, ..self }
    }

    /// Its weights, in the order of their columns.
    pub(in crate::ops) fn parts(&self) -> &[LinearPart] {
        &self.parts
    }

    /// Size of an input row, `k`.
    pub fn in_features(&self) -> usize {
        self.in_features
    }

    /// Size of an output row: all parts, one after another.
    pub fn out_features(&self) -> usize {
        self.out_features
    }
}

/// Multiplies each row of `x` with all parts of `layer`.
///
/// # Shapes
/// `x`: `[t, k]`; result: `[t, n]`, the parts' columns side by side.
///
/// # Errors
/// [`BackendError::Argument`] for inputs of another size than the weights take, or of none; Candle's otherwise.
pub fn linear(x: &Tensor, layer: &Linear, kernels: Kernels) -> Result<Tensor, BackendError> {
    let (_t, k) = x.dims2()?;
    if k != layer.in_features || k == 0 {
        return Err(BackendError::Argument {
            op: "linear",
            reason: format!("input has {k} features, the weights take {}", layer.in_features),
        });
    }
    match count::choose(Op::Linear, x.device(), kernels) {
        Path::Cpu => Ok(x.apply_op1_no_bwd(&cpu::LinearCpu(layer))?),
        #[cfg(feature = "metal")]
        Path::Metal => metal::linear(x, layer),
        #[cfg(feature = "cuda")]
        Path::Cuda => cuda::linear(x, layer),
        _ => reference::linear(x, layer),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use candle_core::{DType, Device, Tensor};
    use proptest::prelude::*;

    use super::*;
    use crate::weight::{MappedTensor, WeightDtype};

    /// Pseudo-random values in -1..1.
    pub(crate) fn values(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_769).wrapping_add(1);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    /// A weight of any format with plausible contents.
    pub(crate) fn weight(dtype: WeightDtype, rows: usize, cols: usize) -> Weight {
        let num_blocks = rows * cols / dtype.block_len();
        let bytes: Vec<u8> = (0..num_blocks).flat_map(|i| block(dtype, i)).collect();
        let len = bytes.len();
        let mapped = MappedTensor::new("test", dtype, &[rows, cols], Arc::new(bytes), 0..len).unwrap();
        Weight::new(mapped, &Device::Cpu, DType::F32)
    }

    fn block(dtype: WeightDtype, block_idx: usize) -> Vec<u8> {
        let random = values(dtype.block_bytes(), block_idx as u32);
        let small = half::f16::from_f32(random[0] * 0.02).to_le_bytes();
        match dtype {
            WeightDtype::F32 => random[0].to_le_bytes().to_vec(),
            WeightDtype::F16 => half::f16::from_f32(random[0]).to_le_bytes().to_vec(),
            WeightDtype::Bf16 => half::bf16::from_f32(random[0]).to_le_bytes().to_vec(),
            _ => {
                let mut bytes: Vec<u8> = random.iter().map(|x| (x * 127.0) as i8 as u8).collect();
                let scale_at = if dtype == WeightDtype::Q6K { 208 } else { 0 };
                bytes[scale_at..scale_at + 2].copy_from_slice(&small);
                if matches!(dtype, WeightDtype::Q4_1 | WeightDtype::Q4K | WeightDtype::Q5K) {
                    bytes[2..4].copy_from_slice(&small);
                }
                bytes
            }
        }
    }

    fn input(t: usize, k: usize) -> Tensor {
        Tensor::from_vec(values(t * k, 7), (t, k), &Device::Cpu).unwrap()
    }

    fn check(layer: &Linear, t: usize) {
        let x = input(t, layer.in_features());
        let tolerance = 1e-6 * layer.in_features() as f32;
        for activations in [Activations::Exact, Activations::Int8] {
            let layer = layer.clone().with_activations(activations);
            let fast = linear(&x, &layer, Kernels::Native).unwrap().to_vec2::<f32>().unwrap();
            let slow = linear(&x, &layer, Kernels::Reference).unwrap().to_vec2::<f32>().unwrap();
            for (fast, slow) in fast.iter().flatten().zip(slow.iter().flatten()) {
                let error = (fast - slow).abs();
                assert!(error <= tolerance * slow.abs().max(1.0), "{activations:?}: {fast} {slow}");
            }
        }
    }

    #[test]
    fn cpu_is_close_to_the_reference() {
        for dtype in WeightDtype::ALL {
            for (t, n) in [(1, 1), (1, 13), (3, 50), (9, 97), (33, 97)] {
                check(&Linear::from_weight(weight(dtype, n, 512)), t);
            }
        }
    }

    #[test]
    fn rows_need_not_fill_the_lanes() {
        for k in [1, 15, 17, 40] {
            check(&Linear::from_weight(weight(WeightDtype::Bf16, 7, k)), 5);
            check(&Linear::from_weight(weight(WeightDtype::F32, 7, k)), 5);
        }
    }

    #[test]
    fn parts_and_biases_stand_side_by_side() {
        let part = |dtype, rows, bias: bool| LinearPart {
            weight: weight(dtype, rows, 64),
            bias: bias.then(|| weight(WeightDtype::F32, 1, rows)),
        };
        let parts = vec![
            part(WeightDtype::F32, 70, true),
            part(WeightDtype::Q8_0, 9, false),
            part(WeightDtype::F16, 100, true),
            part(WeightDtype::Q4_1, 45, true),
        ];
        check(&Linear::new(parts).unwrap(), 6);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let layer = Linear::from_weight(weight(WeightDtype::F32, 4, 8));
        let error = linear(&input(2, 9), &layer, Kernels::Native).unwrap_err();
        assert_eq!(error.to_string(), "linear: input has 9 features, the weights take 8");
        assert!(Linear::new(Vec::new()).is_err());
        let empty = Linear::from_weight(weight(WeightDtype::F32, 4, 0));
        assert!(linear(&input(2, 0), &empty, Kernels::Native).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(80))]
        #[test]
        fn a_row_does_not_depend_on_its_batch(
            dtype_idx in 0..WeightDtype::ALL.len(), t in 1usize..40, n in 1usize..70, start in 0usize..40,
            dense_k in prop::sample::select(vec![1usize, 40, 256]), is_int8: bool,
        ) {
            let dtype = WeightDtype::ALL[dtype_idx];
            let k = if dtype.is_quantized() { 256 } else { dense_k };
            let activations = if is_int8 { Activations::Int8 } else { Activations::Exact };
            let layer = Linear::from_weight(weight(dtype, n, k));
            let layer = layer.with_activations(activations);
            let x = input(t, k);
            let start = start % t;
            let bits = |x: &Tensor| -> Vec<u32> {
                let y = linear(x, &layer, Kernels::Native).unwrap();
                y.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
            };
            let whole = bits(&x);
            prop_assert_eq!(&whole[start * n..(start + 1) * n], bits(&x.narrow(0, start, 1).unwrap()));
        }
    }
}
