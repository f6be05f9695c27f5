//! Root mean square normalisation, of rows and of heads inside rows.

use candle_core::DType;
use llama_backend::ops::{
    Kernels, Op,
    rms_norm::{self, rms_norm},
};
use proptest::{prelude::*, strategy::BoxedStrategy};
use serde::{Deserialize, Serialize};

use super::{
    Problem,
    shapes::{Margins, WeightName, dense_weight_dtype, num_rows, width},
};
use crate::{
    fill::Fill,
    measure::{Comparison, F32_ROUNDOFF, roundoff},
    subject::{Subject, cpu_tensor, on_cpu, read, stored},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RmsNorm {
    t: usize,
    /// Heads of a row; none for rows as a whole.
    heads: Option<usize>,
    margins: Margins,
    width: usize,
    format: WeightName,
    eps: f32,
    x: Fill,
    weights: Fill,
}

impl Problem for RmsNorm {
    const NAME: &'static str = "rms_norm";
    const OP: Option<Op> = Some(Op::RmsNorm);
    const TOLERANCE: &'static str =
        "(4 u + u32 (2 √k + 8)) |y|: the mean square, its root, two stored roundings";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        let heads = (proptest::option::of(1usize..6), Margins::any());
        let eps = prop::sample::select(vec![1e-5f32, 1e-6]);
        let case = (num_rows(), heads, width(), dense_weight_dtype(), eps, Fill::any(), Fill::moderate());
        case.prop_map(|(t, (heads, margins), width, format, eps, x, weights)| Self {
            t,
            heads,
            margins,
            width,
            format,
            eps,
            x,
            weights,
        })
        .boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let view = |shape| self.margins.view(subject, (self.x, 1), shape, dtype);
        let (x, values) = match self.heads {
            Some(heads) => view((self.t, heads, self.width))?,
            None => view((self.t, self.width, 1)).and_then(|(x, values)| Ok((x.squeeze(2)?, values)))?,
        };
        let weight = stored(self.weights, 2, self.format.dtype(), (1, self.width))?;
        let norm = rms_norm::RmsNorm { weight: subject.place(&weight, dtype), eps: self.eps };
        let found = read(&subject.watch(|| rms_norm(&x, &norm, Kernels::Native))?)?;
        let norm = rms_norm::RmsNorm { weight: on_cpu(&weight), eps: self.eps };
        let expected = read(&rms_norm(&cpu_tensor(&values, x.dims())?, &norm, Kernels::Reference)?)?;
        let relative = 4.0 * roundoff(dtype) + F32_ROUNDOFF * (2.0 * (self.width as f64).sqrt() + 8.0);
        // Subnormal inputs may be taken for zero, before they are scaled up.
        let flushed = f64::from(f32::MIN_POSITIVE) * 16.0 / f64::from(self.eps).sqrt();
        let bounds = expected.iter().map(|y| f64::from(y.abs()) * relative + flushed).collect();
        Ok(Comparison { bounds, expected, found, dtype })
    }
}
