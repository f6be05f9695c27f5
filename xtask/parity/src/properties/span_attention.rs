//! Attention of flat batches of whole texts.

use std::ops::Range;

use candle_core::DType;
use llama_backend::ops::{
    Kernels, Op,
    span_attention::{Spans, span_attention},
};
use proptest::{collection::vec, prelude::*, strategy::BoxedStrategy};
use serde::{Deserialize, Serialize};

use super::Problem;
use crate::{
    fill::{Fill, Magnitude},
    measure::{Comparison, F32_ROUNDOFF, roundoff},
    subject::{Subject, cpu_tensor, read},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SpanAttention {
    num_heads: usize,
    head_dim: usize,
    /// Rows of each text.
    lens: Vec<usize>,
    /// Of queries, keys and values.
    fills: [Fill; 3],
}

impl Problem for SpanAttention {
    const NAME: &'static str = "span_attention";
    const OP: Option<Op> = Some(Op::SpanAttention);
    const TOLERANCE: &'static str = "Σ p |v| (exp(2 Δs) - 1 + 2 u + u32 (√s + 16)) + 2 u |y|, Δs the bound of a score, \
                                     which may be stored in the dtype, as p may; never beyond the values";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        let len = prop_oneof![2 => Just(1usize), 3 => 2usize..20, 2 => 20usize..60, 1 => 90usize..140];
        let head_dim = prop_oneof![prop::sample::select(vec![16usize, 32, 64]), 2usize..40];
        // Products of two large values leave the range where softmax tells scores apart.
        let fill = || Fill::any().prop_filter("too large", |fill| fill.magnitude != Magnitude::Large);
        let fills = (fill(), fill(), Fill::any()).prop_map(|(q, keys, values)| [q, keys, values]);
        (1usize..5, head_dim, vec(len, 1..6), fills)
            .prop_map(|(num_heads, head_dim, lens, fills)| Self { num_heads, head_dim, lens, fills })
            .boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let spans = Spans::of_lens(self.lens.iter().copied())?;
        let qkv = self.values(spans.num_rows(), dtype);
        let shape = [spans.num_rows(), 3 * self.num_heads * self.head_dim];
        let on_device = subject.tensor(&qkv, &shape, dtype)?;
        let run = |qkv, kernels| span_attention(qkv, &spans, self.num_heads, kernels);
        let found = read(&subject.watch(|| run(&on_device, Kernels::Native))?)?;
        let expected = read(&run(&cpu_tensor(&qkv, &shape)?, Kernels::Reference)?)?;
        let mut bounds = Vec::with_capacity(expected.len());
        for span in spans.iter() {
            for row_idx in span.clone() {
                (0..self.num_heads).for_each(|head_idx| {
                    bounds.extend(self.bounds(&qkv, (row_idx, head_idx), span.clone(), dtype));
                });
            }
        }
        let stored = 2.0 * roundoff(dtype);
        bounds.iter_mut().zip(&expected).for_each(|(bound, y)| *bound += stored * f64::from(y.abs()));
        Ok(Comparison { bounds, expected, found, dtype })
    }
}

impl SpanAttention {
    /// # Shapes
    /// Result: `[t, 3 h d]`
    fn values(&self, t: usize, dtype: DType) -> Vec<f32> {
        let width = self.num_heads * self.head_dim;
        let parts = [0, 1, 2].map(|i| self.fills[i].values(t * width, i as u32 + 1, dtype));
        let row =
            |row_idx: usize| parts.iter().flat_map(move |part| &part[row_idx * width..(row_idx + 1) * width]);
        (0..t).flat_map(row).copied().collect()
    }

    /// Bounds of one head of one row.
    ///
    /// # Shapes
    /// `qkv`: `[t, 3 h d]`; result: `[d]`
    fn bounds(
        &self,
        qkv: &[f32],
        (row_idx, head_idx): (usize, usize),
        span: Range<usize>,
        dtype: DType,
    ) -> Vec<f64> {
        let (h, d) = (self.num_heads, self.head_dim);
        let part = |row_idx: usize, part_idx: usize| {
            let values = &qkv[((3 * row_idx + part_idx) * h + head_idx) * d..][..d];
            values.iter().map(|&x| f64::from(x))
        };
        let scale = 1.0 / (d as f64).sqrt();
        let products = |key_idx| part(row_idx, 0).zip(part(key_idx, 1)).map(move |(q, k)| q * k * scale);
        let scores: Vec<f64> = span.clone().map(|key_idx| products(key_idx).sum()).collect();
        let sizes = span.clone().map(|key_idx| products(key_idx).map(f64::abs).sum::<f64>());
        let widest = sizes.fold(0f64, f64::max);
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        // A composed path stores scaled queries, scores and weights in its dtype.
        let stored = if dtype == DType::F32 { 0.0 } else { roundoff(dtype) };
        let score_error = (F32_ROUNDOFF * (2.0 * (d as f64).sqrt() + 8.0) + 2.0 * stored) * widest;
        let relative =
            (2.0 * score_error).exp_m1() + 2.0 * stored + F32_ROUNDOFF * ((span.len() as f64).sqrt() + 16.0);
        let (mut sums, mut sizes) = (vec![0f64; d], vec![0f64; d]);
        for (value_idx, weight) in span.zip(&weights) {
            for ((sum, size), v) in sums.iter_mut().zip(&mut sizes).zip(part(value_idx, 2)) {
                *sum += weight / total * v.abs();
                *size = size.max(v.abs());
            }
        }
        // Whatever the weights are, they make a mean.
        sums.iter().zip(sizes).map(|(sum, size)| (sum * relative).min(2.0 * size)).collect()
    }
}
