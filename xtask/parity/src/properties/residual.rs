//! The sum of two rows.

use candle_core::DType;
use llama_backend::ops::{Kernels, Op, residual::residual};
use proptest::{prelude::*, strategy::BoxedStrategy};
use serde::{Deserialize, Serialize};

use super::{
    Problem,
    shapes::{num_rows, width},
};
use crate::{
    fill::Fill,
    measure::{Comparison, roundoff},
    subject::{Subject, cpu_tensor, read},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Residual {
    t: usize,
    width: usize,
    x: Fill,
    y: Fill,
}

impl Problem for Residual {
    const NAME: &'static str = "residual";
    const OP: Option<Op> = Some(Op::Residual);
    const TOLERANCE: &'static str = "u |y|: one rounding";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        let case = (num_rows(), width(), Fill::any(), Fill::any());
        case.prop_map(|(t, width, x, y)| Self { t, width, x, y }).boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let shape = [self.t, self.width];
        let values = |fill: Fill, stream| fill.values(self.t * self.width, stream, dtype);
        let (x, y) = (values(self.x, 1), values(self.y, 2));
        let on_device = (subject.tensor(&x, &shape, dtype)?, subject.tensor(&y, &shape, dtype)?);
        let found = read(&subject.watch(|| residual(&on_device.0, &on_device.1, Kernels::Native))?)?;
        let expected =
            read(&residual(&cpu_tensor(&x, &shape)?, &cpu_tensor(&y, &shape)?, Kernels::Reference)?)?;
        let bounds = expected.iter().map(|sum| f64::from(sum.abs()) * roundoff(dtype)).collect();
        Ok(Comparison { bounds, expected, found, dtype })
    }
}
