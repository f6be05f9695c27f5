//! Products with weights of any format, several side by side.

use candle_core::{DType, Tensor};
use llama_backend::{
    ops::{
        Kernels, Op,
        linear::{self, Activations, LinearPart, linear},
    },
    weight::{MappedTensor, Weight, WeightDtype},
};
use proptest::{collection::vec, prelude::*, strategy::BoxedStrategy};
use serde::{Deserialize, Serialize};

use super::{
    Problem,
    shapes::{Margins, WeightName, any_weight_dtype, num_rows, width},
};
use crate::{
    fill::{Fill, Magnitude},
    measure::{Comparison, F32_ROUNDOFF, roundoff},
    subject::{Subject, absolute, cpu_tensor, decoded, on_cpu, read, stored},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Linear {
    pub(super) input: Input,
    pub(super) parts: Vec<Part>,
}

/// What all parts read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) t: usize,
    pub(super) k: usize,
    pub(super) margins: Margins,
    pub(super) x: Fill,
    /// Quantised weights see rounded inputs on the CPU.
    pub(super) is_int8: bool,
}

/// One weight matrix.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) format: WeightName,
    pub(super) n: usize,
    pub(super) has_bias: bool,
    pub(super) weights: Fill,
}

impl Problem for Linear {
    const NAME: &'static str = "linear";
    const OP: Option<Op> = Some(Op::Linear);
    const TOLERANCE: &'static str =
        "u32 (4 √k + 8) Σ|x w| + 2 u (|y| + |bias|) + u Σ|x w| where weights are rounded to a shorter dtype";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        let n = prop_oneof![1usize..20, 30usize..34, 60usize..140];
        vec(Part::any(n), 1..4)
            .prop_flat_map(|parts| (Input::any(&parts), Just(parts)))
            .prop_map(|(input, parts)| Self { input, parts })
            .boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let problem = Prepared::new(&self.input, &self.parts)?;
        let (x, values) = self.input.on_device(subject, dtype)?;
        let found =
            read(&subject.watch(|| linear(&x, &problem.on_device(subject, dtype)?, Kernels::Native))?)?;
        let x = cpu_tensor(&values, &[self.input.t, self.input.k])?;
        let expected = read(&problem.expected(&x, subject)?)?;
        let bounds = problem.bounds(&x, &expected, dtype)?;
        Ok(Comparison { bounds, expected, found, dtype })
    }
}

impl Input {
    /// As wide as the parts' blocks ask for.
    pub(super) fn any(parts: &[Part]) -> impl Strategy<Value = Self> + use<> {
        let block = parts.iter().map(|part| part.format.whole(1)).max().unwrap_or(1);
        let magnitudes = Fill::any().prop_map(|x| match x.magnitude {
            // Sums of large products overflow f16 at once, which tests nothing.
            Magnitude::Large => Fill { magnitude: Magnitude::Mixed, ..x },
            _ => x,
        });
        (num_rows(), width(), Margins::any(), magnitudes, any::<bool>()).prop_map(
            move |(t, k, margins, x, is_int8)| Self { t, k: k.next_multiple_of(block), margins, x, is_int8 },
        )
    }

    /// A strided view of the input, and its values.
    ///
    /// # Shapes
    /// Results: `[t, k]`
    pub(super) fn on_device(
        &self,
        subject: &Subject,
        dtype: DType,
    ) -> candle_core::Result<(Tensor, Vec<f32>)> {
        let (x, values) = self.margins.view(subject, (self.x, 1), (self.t, self.k, 1), dtype)?;
        Ok((x.squeeze(2)?, values)) // [t, k]
    }
}

impl Part {
    /// Of any format.
    pub(super) fn any(n: impl Strategy<Value = usize>) -> impl Strategy<Value = Self> {
        (any_weight_dtype(), n, any::<bool>(), Fill::moderate())
            .prop_map(|(format, n, has_bias, weights)| Self { format, n, has_bias, weights })
    }
}

/// Stored weights and biases.
pub(super) struct Prepared {
    pub(super) parts: Vec<(MappedTensor, Option<MappedTensor>)>,
    k: usize,
    is_int8: bool,
}

impl Prepared {
    pub(super) fn new(input: &Input, parts: &[Part]) -> anyhow::Result<Self> {
        let make = |(stream, part): (u32, &Part)| {
            let weight = stored(part.weights, stream, part.format.dtype(), (part.n, input.k))?;
            let bias =
                part.has_bias.then(|| stored(part.weights, stream + 100, WeightDtype::F32, (1, part.n)));
            Ok((weight, bias.transpose()?))
        };
        let parts = (10..).zip(parts).map(make).collect::<anyhow::Result<_>>()?;
        Ok(Self { parts, k: input.k, is_int8: input.is_int8 })
    }

    pub(super) fn on_device(
        &self,
        subject: &Subject,
        dtype: DType,
    ) -> Result<linear::Linear, llama_backend::BackendError> {
        Ok(self.layer(|weight| subject.place(weight, dtype))?.with_activations(self.activations()))
    }

    /// What the reference computes from the values of `x`.
    ///
    /// # Shapes
    /// `x`: `[t, k]`; result: `[t, n]`
    pub(super) fn expected(&self, x: &Tensor, subject: &Subject) -> anyhow::Result<Tensor> {
        let activations = if subject.is_cpu() { self.activations() } else { Activations::Exact };
        let layer = self.layer(on_cpu)?.with_activations(activations);
        Ok(linear(x, &layer, Kernels::Reference)?)
    }

    /// # Shapes
    /// `x`: `[t, k]`; `expected` and result: `[t, n]`
    pub(super) fn bounds(&self, x: &Tensor, expected: &[f32], dtype: DType) -> anyhow::Result<Vec<f64>> {
        let absolute_parts = self
            .parts
            .iter()
            .map(|(weight, bias)| Ok((absolute(weight)?, bias.as_ref().map(absolute).transpose()?)));
        let absolute =
            Self { parts: absolute_parts.collect::<anyhow::Result<_>>()?, k: self.k, is_int8: false };
        let layer = absolute.layer(on_cpu)?;
        let sums =
            read(&linear(&x.abs()?, &layer.with_activations(Activations::Exact), Kernels::Reference)?)?;
        let rounds_weights = self.parts.iter().any(|(weight, _)| !fits(weight.dtype(), dtype));
        let summed = F32_ROUNDOFF * (4.0 * (self.k as f64).sqrt() + 8.0)
            + if rounds_weights { roundoff(dtype) } else { 0.0 };
        let flushed = f64::from(f32::MIN_POSITIVE) * 32.0 * self.k as f64;
        let biases: Vec<f32> = self
            .parts
            .iter()
            .flat_map(|(weight, bias)| match bias {
                Some(bias) => decoded(bias),
                None => vec![0.0; weight.rows()],
            })
            .collect();
        let bound = |((&sum, &y), bias): ((&f32, &f32), &f32)| {
            summed * f64::from(sum) + 2.0 * roundoff(dtype) * f64::from(y.abs() + bias.abs()) + flushed
        };
        Ok(sums.iter().zip(expected).zip(biases.iter().cycle()).map(bound).collect())
    }

    fn activations(&self) -> Activations {
        if self.is_int8 { Activations::Int8 } else { Activations::Exact }
    }

    fn layer(
        &self,
        place: impl Fn(&MappedTensor) -> Weight,
    ) -> Result<linear::Linear, llama_backend::BackendError> {
        let part = |(weight, bias): &(MappedTensor, Option<MappedTensor>)| LinearPart {
            weight: place(weight),
            bias: bias.as_ref().map(&place),
        };
        linear::Linear::new(self.parts.iter().map(part).collect())
    }
}

/// Whether every value of the stored format is one of `dtype` too.
fn fits(stored: WeightDtype, dtype: DType) -> bool {
    match dtype {
        DType::F16 => stored == WeightDtype::F16,
        DType::BF16 => stored == WeightDtype::Bf16,
        _ => true,
    }
}
