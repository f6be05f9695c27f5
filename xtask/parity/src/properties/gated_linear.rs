//! Gate, up and their activation as one operation.

use candle_core::DType;
use llama_backend::ops::{Kernels, Op, gated_linear::gated_linear, swiglu::swiglu};
use proptest::{prelude::*, strategy::BoxedStrategy};
use serde::{Deserialize, Serialize};

use super::{
    Problem,
    linear::{Input, Part, Prepared},
    swiglu::activation_bound,
};
use crate::{
    measure::Comparison,
    subject::{Subject, cpu_tensor, read},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GatedLinear {
    input: Input,
    gate_up: Vec<Part>,
}

impl Problem for GatedLinear {
    const NAME: &'static str = "gated_linear";
    const OP: Option<Op> = Some(Op::GatedLinear);
    const TOLERANCE: &'static str =
        "linear's bounds of gate and up, times |up| and |silu(gate)|, and swiglu's bound";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        let n = prop_oneof![1usize..20, 30usize..34, 60usize..140];
        let pair = n.prop_flat_map(|n| (Part::any(Just(n)), Part::any(Just(n))));
        pair.prop_map(|(gate, up)| vec![gate, up])
            .prop_flat_map(|gate_up| (Input::any(&gate_up), Just(gate_up)))
            .prop_map(|(input, gate_up)| Self { input, gate_up })
            .boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let problem = Prepared::new(&self.input, &self.gate_up)?;
        let (x, values) = self.input.on_device(subject, dtype)?;
        let found =
            read(&subject.watch(|| gated_linear(&x, &problem.on_device(subject, dtype)?, Kernels::Native))?)?;
        let x = cpu_tensor(&values, &[self.input.t, self.input.k])?;
        let gate_up = problem.expected(&x, subject)?;
        let expected = read(&swiglu(&gate_up, Kernels::Reference)?)?;
        let gate_up = read(&gate_up)?;
        let linear_bounds = problem.bounds(&x, &gate_up, dtype)?;
        let width = self.gate_up[0].n;
        let bound = |(i, &y): (usize, &f32)| {
            let gate_idx = i / width * 2 * width + i % width;
            let (gate, up) = (f64::from(gate_up[gate_idx]), f64::from(gate_up[gate_idx + width]));
            let (gate_bound, up_bound) = (linear_bounds[gate_idx], linear_bounds[gate_idx + width]);
            let silu = gate / (1.0 + (-gate).exp());
            // The slope of silu is below 1.1 everywhere.
            let carried = 1.1 * gate_bound * (up.abs() + up_bound) + silu.abs() * up_bound;
            carried + activation_bound(y, (gate as f32, up as f32), dtype)
        };
        Ok(Comparison { bounds: expected.iter().enumerate().map(bound).collect(), expected, found, dtype })
    }
}
