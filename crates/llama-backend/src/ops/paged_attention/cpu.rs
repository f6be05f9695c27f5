//! The CPU path: softmax over chunks of positions, merged in order (Milakov and Gimelshein, arXiv:1805.02867).
//!
//! Invariant: a row's result depends on its query and its sequence alone. Chunks start at multiples of
//! [`CHUNK_LEN`] positions of the sequence, each is reduced by itself, and they are merged from the first to the
//! last; so neither the block table nor the batch, nor how the prompt was cut, shows in the bits.

use std::{cell::RefCell, ops::Range};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, bail};

use super::{
    AttentionScope, PagedLayout, PagedSpan,
    run::{self, Run, RunState},
};
use crate::{
    ops::rows::Rows,
    parallel::{Pool, TileMut, for_each_tile},
    simd::{ByteLanes, Kernel, LANES, Simd, axpy, dispatch, dot, exp, exp_in_place},
};

/// Positions that are reduced together before they are merged with those before.
pub(super) const CHUNK_LEN: usize = 128;

pub(super) struct PagedAttentionCpu<'a> {
    pub(super) layout: &'a PagedLayout,
    pub(super) scope: AttentionScope,
}

impl CustomOp3 for PagedAttentionCpu<'_> {
    fn name(&self) -> &'static str {
        "paged_attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        keys: &CpuStorage,
        keys_layout: &Layout,
        values: &CpuStorage,
        values_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (t, h, d) = q_layout.shape().dims3()?;
        let (_, g, _) = keys_layout.shape().dims3()?;
        let flat = |storage, layout| match Rows::new("paged_attention", storage, layout)?.contiguous() {
            Some(values) => Ok(values),
            None => bail!("paged_attention: inputs must be contiguous"),
        };
        let problem = Problem {
            q: flat(q, q_layout)?,
            keys: flat(keys, keys_layout)?,
            values: flat(values, values_layout)?,
            layout: self.layout,
            scope: self.scope,
            heads: (h, g, d),
        };
        let mut y = vec![0.0; t * h * d];
        // A task is one KV head with all its query heads, for a few rows when there are many.
        let task_rows = t.div_ceil(4 * Pool::global().num_threads()).clamp(1, 16);
        for_each_tile(Pool::global(), &mut y, (t, h * d), (task_rows, h / g * d), &|tile| {
            dispatch(AttentionTile { problem: &problem, tile });
        });
        Ok((CpuStorage::F32(y), Shape::from((t, h, d))))
    }
}

/// # Shapes
/// `q`: `[t, h, d]`; `keys` and `values`: `[n * p, g, d]`; `heads`: `(h, g, d)`.
pub(super) struct Problem<'a> {
    pub(super) q: &'a [f32],
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
    layout: &'a PagedLayout,
    pub(super) scope: AttentionScope,
    pub(super) heads: (usize, usize, usize),
}

impl Problem<'_> {
    /// Position of a row of the batch in its sequence.
    #[inline(always)]
    pub(super) fn position(&self, span_idx: usize, row_idx: usize) -> usize {
        let span = &self.layout.spans()[span_idx];
        span.first_position + row_idx - span.rows.start
    }

    /// Slot of the cache that holds a position of a span's sequence.
    #[inline(always)]
    pub(super) fn slot(&self, span_idx: usize, position: usize) -> usize {
        self.layout.slot(&self.layout.spans()[span_idx], position)
    }
}

thread_local! {
    /// Memory for runs of rows; kept, so that no step allocates.
    static RUN: RefCell<RunState> = RefCell::default();
}

struct AttentionTile<'a> {
    problem: &'a Problem<'a>,
    tile: TileMut<'a>,
}

impl Kernel for AttentionTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(mut self, simd: S) {
        let (h, g, d) = self.problem.heads;
        let kv_head_idx = self.tile.cols.start / (h / g * d);
        let mut state = RowState::new(h / g, d);
        let spans = self.problem.layout.spans();
        let mut row_idx = self.tile.rows.start;
        let mut span_idx = spans.partition_point(|span| span.rows.end <= row_idx);
        while row_idx < self.tile.rows.end {
            let rows = row_idx..spans[span_idx].rows.end.min(self.tile.rows.end);
            row_idx = rows.end;
            if rows.len() >= run::FEWEST_ROWS && run::fits(d) {
                let mut state = RUN.take();
                let run = Run { span_idx, rows, kv_head_idx };
                state.attend(simd, self.problem, &run, &mut self.tile);
                RUN.set(state);
            } else {
                for row_idx in rows {
                    state.attend(simd, self.problem, Row { span: &spans[span_idx], row_idx, kv_head_idx });
                    state.write(self.tile.row_mut(row_idx - self.tile.rows.start));
                }
            }
            span_idx += 1;
        }
    }
}

/// One row of one KV head's query heads.
struct Row<'a> {
    span: &'a PagedSpan,
    row_idx: usize,
    kv_head_idx: usize,
}

/// What is known of one row after some chunks: per query head the maximum score, the sum of exponentials relative
/// to it, and the weighted sum of values.
///
/// # Shapes
/// `mixed` and `chunk_mixed`: `[h / g, d]`; `scores`: `[h / g, CHUNK_LEN]`.
struct RowState {
    maxima: Vec<f32>,
    sums: Vec<f32>,
    mixed: Vec<f32>,
    chunk_mixed: Vec<f32>,
    scores: Vec<f32>,
    d: usize,
}

impl RowState {
    fn new(num_heads: usize, d: usize) -> Self {
        Self {
            maxima: vec![0.0; num_heads],
            sums: vec![0.0; num_heads],
            mixed: vec![0.0; num_heads * d],
            chunk_mixed: vec![0.0; num_heads * d],
            scores: vec![0.0; num_heads * CHUNK_LEN],
            d,
        }
    }

    #[inline(always)]
    fn attend<S: Simd>(&mut self, simd: S, problem: &Problem<'_>, row: Row<'_>) {
        self.maxima.fill(f32::NEG_INFINITY);
        self.sums.fill(0.0);
        self.mixed.fill(0.0);
        let position = row.span.first_position + row.row_idx - row.span.rows.start;
        let mut start = problem.scope.first_visible(position);
        while start <= position {
            let end = ((start / CHUNK_LEN + 1) * CHUNK_LEN).min(position + 1);
            self.score_chunk(simd, problem, &row, start..end);
            self.mix_chunk(simd, problem, &row, start..end);
            start = end;
        }
    }

    /// Scores of one chunk for every query head of the group.
    #[inline(always)]
    fn score_chunk<S: Simd>(&mut self, simd: S, problem: &Problem<'_>, row: &Row<'_>, chunk: Range<usize>) {
        let (h, g, d) = problem.heads;
        let first_q = (row.row_idx * h + row.kv_head_idx * (h / g)) * d;
        let queries = &problem.q[first_q..first_q + h / g * d];
        for (j, position) in chunk.enumerate() {
            let slot = problem.layout.slot(row.span, position);
            let key = &problem.keys[(slot * g + row.kv_head_idx) * d..][..d];
            let scores = self.scores.chunks_exact_mut(CHUNK_LEN);
            for (query, scores) in queries.chunks_exact(d).zip(scores) {
                scores[j] = dot(simd, query, key) * problem.scope.scale;
            }
        }
    }

    /// Softmax of the chunk's scores, its weighted values, and the merge with the chunks before.
    #[inline(always)]
    fn mix_chunk<S: Simd>(&mut self, simd: S, problem: &Problem<'_>, row: &Row<'_>, chunk: Range<usize>) {
        let (_, g, d) = problem.heads;
        let len = chunk.len();
        self.chunk_mixed.fill(0.0);
        for (head_idx, scores) in self.scores.chunks_exact_mut(CHUNK_LEN).enumerate() {
            let (maximum, sum) = (&mut self.maxima[head_idx], &mut self.sums[head_idx]);
            let mixed = &mut self.mixed[head_idx * d..(head_idx + 1) * d];
            fold_chunk(simd, &mut scores[..len], (maximum, sum), mixed);
        }
        for (j, position) in chunk.enumerate() {
            let slot = problem.layout.slot(row.span, position);
            let value = &problem.values[(slot * g + row.kv_head_idx) * d..][..d];
            let weights = self.scores.chunks_exact(CHUNK_LEN);
            for (weights, mixed) in weights.zip(self.chunk_mixed.chunks_exact_mut(d)) {
                axpy(simd, weights[j], value, mixed);
            }
        }
        for (mixed, chunk_mixed) in self.mixed.iter_mut().zip(&self.chunk_mixed) {
            *mixed += chunk_mixed;
        }
    }

    /// Divides by the sum of exponentials.
    fn write(&self, y: &mut [f32]) {
        let heads = y.chunks_exact_mut(self.d).zip(self.mixed.chunks_exact(self.d));
        for ((y, mixed), sum) in heads.zip(&self.sums) {
            for (y, mixed) in y.iter_mut().zip(mixed) {
                *y = mixed / sum;
            }
        }
    }
}

/// Takes a chunk's scores in: the maximum and the sum of exponentials go on, what was mixed before is scaled, and the
/// scores become the weights of the chunk's values.
#[inline(always)]
pub(super) fn fold_chunk<S: Simd>(
    simd: S,
    scores: &mut [f32],
    (maximum, sum): (&mut f32, &mut f32),
    mixed: &mut [f32],
) {
    let chunk_maximum = largest(simd, scores);
    let chunk_sum = exp_in_place(simd, scores, chunk_maximum);
    let new_maximum = maximum.max(chunk_maximum);
    let [old, new] = exp_two(simd, *maximum - new_maximum, chunk_maximum - new_maximum);
    *sum = *sum * old + chunk_sum * new;
    *maximum = new_maximum;
    scale(mixed, old);
    scale(scores, new);
}

/// The largest value that is a number.
#[inline(always)]
fn largest<S: Simd>(simd: S, values: &[f32]) -> f32 {
    let (chunks, tail) = values.as_chunks::<LANES>();
    let mut lanes = simd.splat(f32::NEG_INFINITY);
    for chunk in chunks {
        lanes = simd.max(simd.load(chunk), lanes);
    }
    let mut largest = [0.0; LANES];
    simd.store(lanes, &mut largest);
    largest.iter().chain(tail).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn scale(values: &mut [f32], factor: f32) {
    for value in values {
        *value *= factor;
    }
}

/// e^a and e^b.
#[inline(always)]
fn exp_two<S: Simd>(simd: S, a: f32, b: f32) -> [f32; 2] {
    let mut lanes = [0.0; LANES];
    lanes[0] = a;
    lanes[1] = b;
    let powers = exp(simd, simd.load(&lanes));
    simd.store(powers, &mut lanes);
    [lanes[0], lanes[1]]
}
