//! A projection and its activation by GELU, as one operation.

use candle_core::DType;
use llama_backend::ops::{Kernels, Op, gelu_linear::gelu_linear};
use proptest::{prelude::*, strategy::BoxedStrategy};
use serde::{Deserialize, Serialize};

use super::{
    Problem,
    linear::{Input, Part, Prepared},
};
use crate::{
    measure::{Comparison, F32_ROUNDOFF, roundoff},
    subject::{Subject, cpu_tensor, read},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GeluLinear {
    input: Input,
    part: Part,
}

impl Problem for GeluLinear {
    const NAME: &'static str = "gelu_linear";
    const OP: Option<Op> = Some(Op::GeluLinear);
    const TOLERANCE: &'static str = "1.2 times linear's bound, and (4 u + 8 u32) |z| of the activation of z, whose two halves cancel where it is small";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        let n = prop_oneof![1usize..20, 30usize..34, 60usize..140];
        Part::any(n)
            .prop_flat_map(|part| (Input::any(std::slice::from_ref(&part)), Just(part)))
            .prop_map(|(input, part)| Self { input, part })
            .boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let problem = Prepared::new(&self.input, std::slice::from_ref(&self.part))?;
        let (x, values) = self.input.on_device(subject, dtype)?;
        let layer = problem.on_device(subject, dtype)?;
        let found = read(&subject.watch(|| gelu_linear(&x, &layer, Kernels::Native))?)?;
        let x = cpu_tensor(&values, &[self.input.t, self.input.k])?;
        let projected = problem.expected(&x, subject)?;
        let expected = read(&projected.gelu_erf()?)?;
        let projected = read(&projected)?;
        let linear_bounds = problem.bounds(&x, &projected, dtype)?;
        let activation = 4.0 * roundoff(dtype) + 8.0 * F32_ROUNDOFF;
        // The slope of gelu is below 1.2 everywhere.
        let bound = |(z, linear_bound): (&f32, f64)| 1.2 * linear_bound + activation * f64::from(z.abs());
        let bounds = projected.iter().zip(linear_bounds).map(bound).collect();
        Ok(Comparison { bounds, expected, found, dtype })
    }
}
