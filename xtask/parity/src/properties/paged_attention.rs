//! Attention of flat batches over scattered, shared and half-filled blocks.

use candle_core::DType;
use llama_backend::ops::{
    Kernels, Op,
    paged_attention::{AttentionScope, CachedHeads, PagedLayout, PagedSpan, paged_attention},
};
use proptest::{collection::vec, prelude::*, strategy::BoxedStrategy};
use serde::{Deserialize, Serialize};

use super::Problem;
use crate::{
    fill::{Fill, Magnitude, permutation},
    measure::{Comparison, F32_ROUNDOFF, roundoff},
    subject::{Subject, cpu_tensor, read},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PagedAttention {
    kv_heads: usize,
    /// Query heads per KV head.
    ratio: usize,
    head_dim: usize,
    block_len: usize,
    window: Option<usize>,
    /// First position and number of new rows of each sequence.
    spans: Vec<(usize, usize)>,
    /// Sequences share the blocks of their common prefix.
    shares_prefix: bool,
    order: u32,
    fills: Fills,
}

#[derive(Debug, Serialize, Deserialize)]
struct Fills {
    q: Fill,
    keys: Fill,
    values: Fill,
}

impl Problem for PagedAttention {
    const NAME: &'static str = "paged_attention";
    const OP: Option<Op> = Some(Op::PagedAttention);
    const TOLERANCE: &'static str =
        "Σ p |v| (2 Δs + 2 u + u32 (√s + 16)) + u |y|, Δs the bound of a score; p may be stored in the dtype";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        let first = prop_oneof![2 => Just(0usize), 2 => 1usize..40, 1 => 120usize..140, 1 => 250usize..300];
        let len = prop_oneof![3 => Just(1usize), 2 => 2usize..10, 1 => 10usize..40];
        let heads = (1usize..4, prop::sample::select(vec![1usize, 2, 3, 4, 7, 8]));
        let head_dim = prop::sample::select(vec![32usize, 48, 64, 80, 96, 128, 256]);
        let block_len = prop_oneof![Just(16usize), 1usize..8, Just(32), Just(64), 8usize..64];
        let window = proptest::option::weighted(0.4, prop_oneof![1usize..20, 20usize..200]);
        let fills = (Fill::any(), Fill::any(), Fill::any()).prop_map(|(q, keys, values)| {
            // Products of two large values leave the range where softmax tells scores apart.
            let mixed = |fill: Fill| Fill {
                magnitude: if fill.magnitude == Magnitude::Large { Magnitude::Mixed } else { fill.magnitude },
                ..fill
            };
            Fills { q: mixed(q), keys: mixed(keys), values }
        });
        let layout = (vec((first, len), 1..4), any::<bool>(), 0u32..1 << 16);
        (heads, head_dim, block_len, window, layout, fills)
            .prop_map(
                |((kv_heads, ratio), head_dim, block_len, window, (spans, shares_prefix, order), fills)| {
                    Self { kv_heads, ratio, head_dim, block_len, window, spans, shares_prefix, order, fills }
                },
            )
            .boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let (layout, num_blocks) = self.layout()?;
        let (t, g, d) = (layout.num_rows(), self.kv_heads, self.head_dim);
        let q_shape = [t, g * self.ratio, d];
        let cache_shape = [num_blocks * self.block_len, g, d];
        let q = self.fills.q.values(q_shape.iter().product(), 1, dtype);
        let keys = self.fills.keys.values(cache_shape.iter().product(), 2, dtype);
        let values = self.fills.values.values(cache_shape.iter().product(), 3, dtype);
        let scope = AttentionScope { scale: 1.0 / (d as f32).sqrt(), window: self.window };
        let on_device = subject.tensor(&q, &q_shape, dtype)?;
        let cache =
            (subject.tensor(&keys, &cache_shape, dtype)?, subject.tensor(&values, &cache_shape, dtype)?);
        let heads = CachedHeads { keys: &cache.0, values: &cache.1 };
        let found =
            read(&subject.watch(|| paged_attention(&on_device, heads, &layout, scope, Kernels::Native))?)?;
        let cache = (cpu_tensor(&keys, &cache_shape)?, cpu_tensor(&values, &cache_shape)?);
        let heads = CachedHeads { keys: &cache.0, values: &cache.1 };
        let reference =
            paged_attention(&cpu_tensor(&q, &q_shape)?, heads, &layout, scope, Kernels::Reference)?;
        let expected = read(&reference)?;
        let bounds = Bounds { problem: self, layout: &layout, scope, dtype, tensors: (&q, &keys, &values) };
        Ok(Comparison { bounds: bounds.all(&expected), expected, found, dtype })
    }
}

impl PagedAttention {
    /// Block tables dealt from a permutation; with a shared prefix, sequences begin with the first one's blocks as far
    /// as neither writes to them.
    fn layout(&self) -> anyhow::Result<(PagedLayout, usize)> {
        let counts: Vec<usize> =
            self.spans.iter().map(|(first, len)| (first + len).div_ceil(self.block_len)).collect();
        let num_blocks: usize = counts.iter().sum();
        let order = permutation(num_blocks, self.order);
        let (mut next_block, mut next_row) = (0, 0);
        let mut spans: Vec<PagedSpan> = Vec::new();
        for (&(first_position, len), &count) in self.spans.iter().zip(&counts) {
            let mut blocks = order[next_block..next_block + count].to_vec();
            if let Some(leader) = spans.first().filter(|_| self.shares_prefix) {
                let shared = first_position.min(leader.first_position) / self.block_len;
                blocks[..shared].copy_from_slice(&leader.blocks[..shared]);
            }
            spans.push(PagedSpan { rows: next_row..next_row + len, first_position, blocks });
            (next_block, next_row) = (next_block + count, next_row + len);
        }
        Ok((PagedLayout::new(spans, self.block_len)?, num_blocks))
    }
}

/// The rounding errors of a case, from its values.
struct Bounds<'a> {
    problem: &'a PagedAttention,
    layout: &'a PagedLayout,
    scope: AttentionScope,
    dtype: DType,
    /// Queries, keys and values.
    tensors: (&'a [f32], &'a [f32], &'a [f32]),
}

impl Bounds<'_> {
    fn all(&self, expected: &[f32]) -> Vec<f64> {
        let h = self.problem.kv_heads * self.problem.ratio;
        let mut bounds = Vec::with_capacity(expected.len());
        for span in self.layout.spans() {
            for row_idx in span.rows.clone() {
                let position = span.first_position + row_idx - span.rows.start;
                let first = self.scope.window.map_or(0, |window| (position + 1).saturating_sub(window));
                let slots: Vec<usize> = (first..=position).map(|i| self.layout.slot(span, i)).collect();
                for head_idx in 0..h {
                    self.head((row_idx, head_idx), &slots, &mut bounds);
                }
            }
        }
        let stored = roundoff(self.dtype);
        bounds.iter_mut().zip(expected).for_each(|(bound, y)| *bound += stored * f64::from(y.abs()));
        bounds
    }

    /// Appends the bounds of one head of one row.
    fn head(&self, (row_idx, head_idx): (usize, usize), slots: &[usize], bounds: &mut Vec<f64>) {
        let (g, d) = (self.problem.kv_heads, self.problem.head_dim);
        let (q, keys, values) = self.tensors;
        let at = |tensor: &[f32], start: usize| -> Vec<f64> {
            tensor[start..start + d].iter().map(|&x| f64::from(x)).collect()
        };
        let q = at(q, (row_idx * g * self.problem.ratio + head_idx) * d);
        let cached = |tensor, slot: usize| at(tensor, (slot * g + head_idx / self.problem.ratio) * d);
        let scale = f64::from(self.scope.scale);
        let scores: Vec<(f64, f64)> = slots
            .iter()
            .map(|&slot| {
                let products: Vec<f64> =
                    q.iter().zip(cached(keys, slot)).map(|(q, k)| q * k * scale).collect();
                (products.iter().sum(), products.iter().map(|x| x.abs()).sum())
            })
            .collect();
        let largest = scores.iter().fold(f64::NEG_INFINITY, |largest, (score, _)| largest.max(*score));
        let weights: Vec<f64> = scores.iter().map(|(score, _)| (score - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let widest = scores.iter().fold(0f64, |widest, (_, sum)| widest.max(*sum));
        // Scores are sums of d products; the exponential's error grows with its argument.
        let score_error = F32_ROUNDOFF * (2.0 * (d as f64).sqrt() + 8.0) * widest;
        let relative = 2.0 * score_error
            + 2.0 * stored_weights(self.dtype)
            + F32_ROUNDOFF * ((slots.len() as f64).sqrt() + 16.0);
        let mut sums = vec![0.0; d];
        for (&slot, weight) in slots.iter().zip(&weights) {
            sums.iter_mut().zip(cached(values, slot)).for_each(|(sum, v)| *sum += weight / total * v.abs());
        }
        bounds.extend(sums.iter().map(|sum| sum * relative));
    }
}

/// Rounding of the softmax weights, which kernels may keep in the compute dtype.
fn stored_weights(dtype: DType) -> f64 {
    if dtype == DType::F32 { 0.0 } else { roundoff(dtype) }
}
