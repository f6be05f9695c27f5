//! The gated activation, gate and up side by side.

use candle_core::DType;
use llama_backend::ops::{Kernels, Op, swiglu::swiglu};
use proptest::{prelude::*, strategy::BoxedStrategy};
use serde::{Deserialize, Serialize};

use super::{
    Problem,
    shapes::{num_rows, width},
};
use crate::{
    fill::Fill,
    measure::{Comparison, F32_ROUNDOFF, roundoff},
    subject::{Subject, cpu_tensor, read},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SwiGlu {
    t: usize,
    width: usize,
    gate_up: Fill,
}

impl Problem for SwiGlu {
    const NAME: &'static str = "swiglu";
    const OP: Option<Op> = Some(Op::SwiGlu);
    const TOLERANCE: &'static str =
        "(4 u + u32 (16 + 4 |gate|)) |y|: the exponential's error grows with its argument";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        (num_rows(), width(), Fill::any()).prop_map(|(t, width, gate_up)| Self { t, width, gate_up }).boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let shape = [self.t, 2 * self.width];
        let values = self.gate_up.values(self.t * 2 * self.width, 1, dtype);
        let gate_up = subject.tensor(&values, &shape, dtype)?;
        let found = read(&subject.watch(|| swiglu(&gate_up, Kernels::Native))?)?;
        let expected = read(&swiglu(&cpu_tensor(&values, &shape)?, Kernels::Reference)?)?;
        let rows = values.chunks(2 * self.width);
        let inputs = rows.flat_map(|row| row[..self.width].iter().zip(&row[self.width..]));
        let bounds =
            expected.iter().zip(inputs).map(|(&y, (&gate, &up))| activation_bound(y, (gate, up), dtype));
        let bounds = bounds.collect();
        Ok(Comparison { bounds, expected, found, dtype })
    }
}

/// Bound of `y = silu(gate) * up`, gate and up given.
pub(super) fn activation_bound(y: f32, (gate, up): (f32, f32), dtype: DType) -> f64 {
    let exponential = F32_ROUNDOFF * (16.0 + 4.0 * f64::from(gate.abs()));
    // Below the smallest normal number an exponential may stop or become zero, and is multiplied all the same.
    let flushed = 2.0 * f64::from(f32::MIN_POSITIVE) * f64::from(gate.abs()) * f64::from(up.abs());
    (4.0 * roundoff(dtype) + exponential) * f64::from(y.abs()) + flushed
}
