//! Layer normalisation of a sum.

use candle_core::DType;
use llama_backend::ops::{
    Kernels, Op,
    layer_norm::{self, layer_norm},
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
    subject::{Subject, cpu_tensor, decoded, on_cpu, read, stored},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LayerNorm {
    t: usize,
    width: usize,
    /// Of each of the two that are added.
    margins: (Margins, Margins),
    format: WeightName,
    eps: f32,
    x: Fill,
    y: Fill,
    weights: Fill,
}

impl Problem for LayerNorm {
    const NAME: &'static str = "layer_norm";
    const OP: Option<Op> = Some(Op::LayerNorm);
    const TOLERANCE: &'static str = "|w| (Δc + |c| Δr) + (2 u + 4 u32) (|c w r| + |b|) + 2 u |y|: what the mean's \
                                     rounding does to centred values c and to r = 1 / √(their mean square + ε)";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        let eps = prop::sample::select(vec![1e-12f32, 1e-5]);
        let fills = (Fill::any(), Fill::any(), Fill::moderate());
        let case = (num_rows(), width(), (Margins::any(), Margins::any()), dense_weight_dtype(), eps, fills);
        case.prop_map(|(t, width, margins, format, eps, (x, y, weights))| Self {
            t,
            width,
            margins,
            format,
            eps,
            x,
            y,
            weights,
        })
        .boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let shape = (self.t, self.width, 1);
        let (x, x_values) = self.margins.0.view(subject, (self.x, 1), shape, dtype)?;
        let (y, y_values) = self.margins.1.view(subject, (self.y, 2), shape, dtype)?;
        let [weight, bias] =
            [3, 4].map(|stream| stored(self.weights, stream, self.format.dtype(), (1, self.width)));
        let (weight, bias) = (weight?, bias?);
        let (eps, place) = (self.eps, |stored| subject.place(stored, dtype));
        let norm = layer_norm::LayerNorm { weight: place(&weight), bias: place(&bias), eps };
        let (x, y) = (x.squeeze(2)?, y.squeeze(2)?); // [t, e]
        let found = read(&subject.watch(|| layer_norm(&x, &y, &norm, Kernels::Native))?)?;
        let norm = layer_norm::LayerNorm { weight: on_cpu(&weight), bias: on_cpu(&bias), eps };
        let on_cpu = |values: &[f32]| cpu_tensor(values, &[self.t, self.width]);
        let reference = layer_norm(&on_cpu(&x_values)?, &on_cpu(&y_values)?, &norm, Kernels::Reference)?;
        let expected = read(&reference)?;
        let bounds = Bounds { affine: (&decoded(&weight), &decoded(&bias)), eps: f64::from(eps), dtype };
        let sums: Vec<f64> = x_values.iter().zip(&y_values).map(|(x, y)| f64::from(x + y)).collect();
        let rows = sums.chunks(self.width).zip(expected.chunks(self.width));
        let bounds = rows.flat_map(|(sums, expected)| bounds.row(sums, expected)).collect();
        Ok(Comparison { bounds, expected, found, dtype })
    }
}

/// The rounding errors of a case, from its values.
struct Bounds<'a> {
    /// Scale and shift.
    affine: (&'a [f32], &'a [f32]),
    eps: f64,
    dtype: DType,
}

impl Bounds<'_> {
    /// # Shapes
    /// `sums`, `expected`, result: `[e]`
    fn row(&self, sums: &[f64], expected: &[f32]) -> Vec<f64> {
        let (len, root) = (sums.len() as f64, (sums.len() as f64).sqrt());
        let mean = sums.iter().sum::<f64>() / len;
        let mean_error = F32_ROUNDOFF * (2.0 * root + 4.0) * sums.iter().map(|s| s.abs()).sum::<f64>() / len;
        let centered: Vec<f64> = sums.iter().map(|s| s - mean).collect();
        let errors: Vec<f64> = sums
            .iter()
            .zip(&centered)
            .map(|(s, c)| 2.0 * (mean_error + F32_ROUNDOFF * (s.abs() + c.abs())))
            .collect();
        let mean_square = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>() / len;
        let (variance, error_square) = (mean_square(&centered), mean_square(&errors));
        let variance_error = 2.0 * (variance * error_square).sqrt()
            + error_square
            + F32_ROUNDOFF * (2.0 * root + 8.0) * variance;
        let least = (variance - variance_error).max(0.0) + self.eps;
        let (scale, scale_error) = (1.0 / least.sqrt(), variance_error / (2.0 * least));
        // Subnormal sums may be taken for zero, before they are scaled up.
        let flushed = f64::from(f32::MIN_POSITIVE) * 16.0;
        let stored = roundoff(self.dtype);
        let bound = |i: usize| {
            let (weight, bias) = (f64::from(self.affine.0[i].abs()), f64::from(self.affine.1[i].abs()));
            let size = centered[i].abs();
            weight * scale * (errors[i] + size * scale_error + flushed)
                + (2.0 * stored + 4.0 * F32_ROUNDOFF) * (size * scale * weight + bias)
                + 2.0 * stored * f64::from(expected[i].abs())
        };
        (0..sums.len()).map(bound).collect()
    }
}
