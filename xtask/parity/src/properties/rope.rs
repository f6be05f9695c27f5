//! Rotations of heads at any positions.

use candle_core::{DType, Device};
use llama_backend::ops::{
    Kernels, Op,
    rope::{RopeLayout, Rotations, rope},
};
use proptest::{collection::vec, prelude::*, strategy::BoxedStrategy};
use serde::{Deserialize, Serialize};

use super::{
    Problem,
    shapes::{Margins, num_rows},
};
use crate::{
    fill::Fill,
    measure::{Comparison, F32_ROUNDOFF, roundoff},
    subject::{Subject, cpu_tensor, read},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rope {
    positions: Vec<u32>,
    heads: usize,
    half: usize,
    is_paired: bool,
    theta: f32,
    margins: Margins,
    x: Fill,
}

impl Problem for Rope {
    const NAME: &'static str = "rope";
    const OP: Option<Op> = Some(Op::Rope);
    const TOLERANCE: &'static str = "(4 u + 4 u32) (|x1| + |x2|): rounded cosines, products and sum";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        let position = prop_oneof![0u32..8, 0u32..5000, 100_000u32..200_000];
        let positions = num_rows().prop_flat_map(move |t| vec(position.clone(), t));
        let half = prop_oneof![1usize..9, Just(16usize), Just(32), Just(40), Just(64), Just(128)];
        let theta = prop::sample::select(vec![1e4f32, 5e5, 10.0]);
        let case = (positions, 1usize..6, half, any::<bool>(), theta, Margins::any(), Fill::any());
        case.prop_map(|(positions, heads, half, is_paired, theta, margins, x)| Self {
            positions,
            heads,
            half,
            is_paired,
            theta,
            margins,
            x,
        })
        .boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let shape = (self.positions.len(), self.heads, 2 * self.half);
        let (x, values) = self.margins.view(subject, (self.x, 1), shape, dtype)?;
        let layout = if self.is_paired { RopeLayout::Pairs } else { RopeLayout::Halves };
        let frequency = |i: usize| self.theta.powf(-(i as f32) / self.half as f32);
        let frequencies: Vec<f32> = (0..self.half).map(frequency).collect();
        let rotations = |device, dtype| Rotations::new(&self.positions, &frequencies, (device, dtype));
        let on_device = rotations(subject.backend().device(), dtype)?;
        let found = read(&subject.watch(|| rope(&x, &on_device, layout, Kernels::Native))?)?;
        let x = cpu_tensor(&values, &[shape.0, shape.1, shape.2])?;
        let expected = read(&rope(&x, &rotations(&Device::Cpu, DType::F32)?, layout, Kernels::Reference)?)?;
        let relative = 4.0 * roundoff(dtype) + 4.0 * F32_ROUNDOFF;
        let bound =
            |i: usize| relative * (f64::from(values[i].abs()) + f64::from(values[self.partner(i)].abs()));
        Ok(Comparison { bounds: (0..expected.len()).map(bound).collect(), expected, found, dtype })
    }
}

impl Rope {
    /// Index of the component that is mixed with component `i`.
    fn partner(&self, i: usize) -> usize {
        let (head, component) = (i / (2 * self.half), i % (2 * self.half));
        let partner = match self.is_paired {
            true => component ^ 1,
            false => (component + self.half) % (2 * self.half),
        };
        head * 2 * self.half + partner
    }
}
