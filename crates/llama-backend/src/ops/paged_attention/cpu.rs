//! The CPU path: softmax over chunks of positions, merged in order (Milakov and Gimelshein, arXiv:1805.02867).
//!
//! Invariant: a row's result depends on its query and its sequence alone. Chunks start at multiples of [`CHUNK_LEN`]
//! positions of the sequence, each is reduced by itself, and they are merged from the first to the last; so neither the
//! block table nor the batch, nor how the prompt was cut or the chunks were shared among threads, shows in the bits.

use std::{cell::RefCell, ops::Range};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, bail};

use super::{
    AttentionScope, PagedLayout,
    run::{self, Run, RunState},
};
use crate::{
    ops::rows::Rows,
    parallel::{Pool, TileMut, new_matrix},
    simd::{ByteLanes, Kernel, LANES, Simd, axpy, dispatch, dot, exp, exp_in_place, largest},
};

/// Positions that are reduced together before they are merged with those before.
pub(super) const CHUNK_LEN: usize = 128;

/// With fewer rows and KV heads than this per thread, each chunk becomes a task.
const FEW_TASKS: usize = 16;
/// Positions ahead of the one that is read for which memory is asked.
const PREFETCH_AHEAD: usize = 8;
/// Vectors of a value that are mixed at once.
pub(super) const MIXED_VECTORS: usize = 4;

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
        let num_threads = Pool::global().num_threads();
        if t * g < FEW_TASKS * num_threads {
            return Ok((CpuStorage::F32(by_chunk(&problem, t)), Shape::from((t, h, d))));
        }
        // A task is one KV head with all its query heads, for a few rows when there are many.
        let task_rows = t.div_ceil(4 * num_threads).clamp(1, 32);
        let y = new_matrix(Pool::global(), (t, h * d), (task_rows, h / g * d), &|tile| {
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

    /// Where the keys and values of a chunk's positions begin.
    #[inline(always)]
    fn fill_slots(&self, row: &Row, chunk: Range<usize>, slots: &mut [usize; CHUNK_LEN]) {
        let (_, g, d) = self.heads;
        for (slot, position) in slots.iter_mut().zip(chunk) {
            *slot = (self.slot(row.span_idx, position) * g + row.kv_head_idx) * d;
        }
    }
}

thread_local! {
    /// Memory for runs of rows; kept, as the others, so that no step allocates.
    static RUN: RefCell<RunState> = RefCell::default();
    /// Scores of a chunk.
    static SCORES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    /// What a chunk comes to.
    static RESULT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
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
                    let row = Row { span_idx, row_idx, kv_head_idx };
                    attend_row(simd, self.problem, &row, self.tile.row_mut(row_idx - self.tile.rows.start));
                }
            }
            span_idx += 1;
        }
    }
}

/// All chunks of one row, one after another.
#[inline(always)]
fn attend_row<S: ByteLanes>(simd: S, problem: &Problem<'_>, row: &Row, y: &mut [f32]) {
    let (h, g, d) = problem.heads;
    let num_heads = h / g;
    let mut merged = Merged::new(num_heads, d);
    let (mut scores, mut result) = (SCORES.take(), RESULT.take());
    result.resize(ChunkResult::width(num_heads, d), 0.0);
    for chunk in problem.chunks(row) {
        reduce_chunk(simd, problem, row, chunk, (&mut scores, &mut result));
        merged.merge(simd, ChunkResult { values: &result, num_heads });
    }
    merged.write(y);
    SCORES.set(scores);
    RESULT.set(result);
}

/// Few rows over long contexts, as in decoding: chunks are reduced by all threads, then merged in order.
fn by_chunk(problem: &Problem<'_>, t: usize) -> Vec<f32> {
    let (h, g, d) = problem.heads;
    let num_heads = h / g;
    let mut items = Vec::new();
    for (span_idx, span) in problem.layout.spans().iter().enumerate() {
        for row_idx in span.rows.clone() {
            for kv_head_idx in 0..g {
                let row = Row { span_idx, row_idx, kv_head_idx };
                items.extend(problem.chunks(&row).map(|chunk| (row, chunk)));
            }
        }
    }
    let width = ChunkResult::width(num_heads, d);
    let results = new_matrix(Pool::global(), (items.len(), width), (1, width), &|tile| {
        let (row, chunk) = &items[tile.rows.start];
        dispatch(ChunkTask { problem, row: *row, chunk: chunk.clone(), tile });
    });
    let mut y = vec![0.0; t * h * d];
    let mut merged = Merged::new(num_heads, d);
    for (i, ((row, _), result)) in items.iter().zip(results.chunks_exact(width)).enumerate() {
        dispatch(MergeTask { merged: &mut merged, result: ChunkResult { values: result, num_heads } });
        if items.get(i + 1).is_none_or(|(next, _)| next != row) {
            let at = (row.row_idx * h + row.kv_head_idx * num_heads) * d;
            merged.write(&mut y[at..at + num_heads * d]);
            merged.clear(num_heads, d);
        }
    }
    y
}

struct ChunkTask<'a> {
    problem: &'a Problem<'a>,
    row: Row,
    chunk: Range<usize>,
    tile: TileMut<'a>,
}

impl Kernel for ChunkTask<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(mut self, simd: S) {
        let mut scores = SCORES.take();
        reduce_chunk(simd, self.problem, &self.row, self.chunk, (&mut scores, self.tile.row_mut(0)));
        SCORES.set(scores);
    }
}

struct MergeTask<'a> {
    merged: &'a mut Merged,
    result: ChunkResult<'a>,
}

impl Kernel for MergeTask<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(self, simd: S) {
        self.merged.merge(simd, self.result);
    }
}

/// One row of one KV head's query heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    span_idx: usize,
    row_idx: usize,
    kv_head_idx: usize,
}

impl Problem<'_> {
    /// The positions that a row sees, cut at multiples of [`CHUNK_LEN`].
    fn chunks(&self, row: &Row) -> impl Iterator<Item = Range<usize>> + use<> {
        let position = self.position(row.span_idx, row.row_idx);
        let first = self.scope.first_visible(position);
        (first / CHUNK_LEN..position / CHUNK_LEN + 1).map(move |chunk_idx| {
            let start = chunk_idx * CHUNK_LEN;
            start.max(first)..(start + CHUNK_LEN).min(position + 1)
        })
    }
}

/// What a chunk comes to, per query head: its maximum score, the sum of exponentials relative to it, and the values
/// weighted by them.
///
/// # Shapes
/// `values`: `[h / g]` maxima, `[h / g]` sums, `[h / g, d]` mixed values
#[derive(Clone, Copy)]
struct ChunkResult<'a> {
    values: &'a [f32],
    num_heads: usize,
}

impl ChunkResult<'_> {
    fn width(num_heads: usize, d: usize) -> usize {
        num_heads * (d + 2)
    }
}

/// Reduces one chunk for all query heads of a KV head. `scores` is scratch, `result` as in [`ChunkResult`].
#[inline(always)]
fn reduce_chunk<S: ByteLanes>(
    simd: S,
    problem: &Problem<'_>,
    row: &Row,
    chunk: Range<usize>,
    (scores, result): (&mut Vec<f32>, &mut [f32]),
) {
    let (h, g, d) = problem.heads;
    let (num_heads, len) = (h / g, chunk.len());
    scores.resize((num_heads * CHUNK_LEN).max(scores.len()), 0.0);
    let first_q = (row.row_idx * h + row.kv_head_idx * num_heads) * d;
    let queries = &problem.q[first_q..first_q + num_heads * d];
    let mut slots = [0; CHUNK_LEN];
    problem.fill_slots(row, chunk, &mut slots);
    let slots = &slots[..len];
    for j in 0..len {
        simd.prefetch(bytemuck::cast_slice(&problem.keys[slots[(j + PREFETCH_AHEAD).min(len - 1)]..][..d]));
        let key = &problem.keys[slots[j]..][..d];
        for (query, scores) in queries.chunks_exact(d).zip(scores.chunks_exact_mut(CHUNK_LEN)) {
            scores[j] = dot(simd, query, key) * problem.scope.scale;
        }
    }
    let (statistics, mixed) = result.split_at_mut(2 * num_heads);
    for (head_idx, scores) in scores.chunks_exact_mut(CHUNK_LEN).take(num_heads).enumerate() {
        let scores = &mut scores[..len];
        let maximum = largest(simd, scores);
        statistics[head_idx] = maximum;
        statistics[num_heads + head_idx] = exp_in_place(simd, scores, maximum);
    }
    mixed.fill(0.0);
    if d.is_multiple_of(MIXED_VECTORS * LANES) {
        return mix_heads(simd, (problem.values, slots), scores, mixed, d);
    }
    for j in 0..len {
        let value = &problem.values[slots[j]..][..d];
        for (weights, mixed) in scores.chunks_exact(CHUNK_LEN).zip(mixed.chunks_exact_mut(d)) {
            axpy(simd, weights[j], value, mixed);
        }
    }
}

/// Mixes values for all heads, up to four at a time, in registers.
#[inline(always)]
fn mix_heads<S: ByteLanes>(
    simd: S,
    values: (&[f32], &[usize]),
    weights: &[f32],
    mixed: &mut [f32],
    d: usize,
) {
    for (mixed, weights) in mixed.chunks_mut(4 * d).zip(weights.chunks(4 * CHUNK_LEN)) {
        match mixed.len() / d {
            4 => mix_in_registers::<S, 4>(simd, values, weights, mixed, d),
            3 => mix_in_registers::<S, 3>(simd, values, weights, mixed, d),
            2 => mix_in_registers::<S, 2>(simd, values, weights, mixed, d),
            _ => mix_in_registers::<S, 1>(simd, values, weights, mixed, d),
        }
    }
}

#[inline(always)]
fn mix_in_registers<S: ByteLanes, const H: usize>(
    simd: S,
    (values, slots): (&[f32], &[usize]),
    weights: &[f32],
    mixed: &mut [f32],
    d: usize,
) {
    let weights = &weights.as_chunks::<CHUNK_LEN>().0[..H];
    for first in (0..d).step_by(MIXED_VECTORS * LANES) {
        let mut sums = [[simd.splat(0.0); MIXED_VECTORS]; H];
        for j in 0..slots.len() {
            let ahead = slots[(j + PREFETCH_AHEAD).min(slots.len() - 1)] + first;
            simd.prefetch(bytemuck::cast_slice(&values[ahead..][..MIXED_VECTORS * LANES]));
            let value = values[slots[j] + first..].as_chunks::<LANES>().0;
            for head in 0..H {
                let weight = simd.splat(weights[head][j]);
                for i in 0..MIXED_VECTORS {
                    sums[head][i] = simd.mul_add(weight, simd.load(&value[i]), sums[head][i]);
                }
            }
        }
        for head in 0..H {
            let mixed = mixed[head * d + first..].as_chunks_mut::<LANES>().0;
            for i in 0..MIXED_VECTORS {
                simd.store(sums[head][i], &mut mixed[i]);
            }
        }
    }
}

/// What is known of one row after some chunks: per query head the maximum score, the sum of exponentials relative
/// to it, and the weighted sum of values.
///
/// # Shapes
/// `mixed`: `[h / g, d]`
#[derive(Default)]
pub(super) struct Merged {
    maxima: Vec<f32>,
    sums: Vec<f32>,
    mixed: Vec<f32>,
}

impl Merged {
    fn new(num_heads: usize, d: usize) -> Self {
        let mut merged = Self::default();
        merged.clear(num_heads, d);
        merged
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, num_heads: usize, d: usize) {
        for (values, len, value) in [
            (&mut self.maxima, num_heads, f32::NEG_INFINITY),
            (&mut self.sums, num_heads, 0.0),
            (&mut self.mixed, num_heads * d, 0.0),
        ] {
            values.clear();
            values.resize(len, value);
        }
    }

    /// Takes the next chunk of one head in: its maximum score, its sum of exponentials, and its mixed values.
    #[inline(always)]
    pub(super) fn merge_head<S: Simd>(
        &mut self,
        simd: S,
        head_idx: usize,
        (chunk_maximum, chunk_sum): (f32, f32),
        values: &[f32],
    ) {
        let maximum = self.maxima[head_idx].max(chunk_maximum);
        let [old, new] = exp_two(simd, self.maxima[head_idx] - maximum, chunk_maximum - maximum);
        self.maxima[head_idx] = maximum;
        self.sums[head_idx] = self.sums[head_idx] * old + chunk_sum * new;
        let d = values.len();
        for (mixed, value) in self.mixed[head_idx * d..(head_idx + 1) * d].iter_mut().zip(values) {
            *mixed = *mixed * old + value * new;
        }
    }

    /// Takes the next chunk of all heads in.
    #[inline(always)]
    fn merge<S: Simd>(&mut self, simd: S, chunk: ChunkResult<'_>) {
        let (maxima, rest) = chunk.values.split_at(chunk.num_heads);
        let (sums, values) = rest.split_at(chunk.num_heads);
        let d = values.len() / chunk.num_heads;
        for head_idx in 0..chunk.num_heads {
            let values = &values[head_idx * d..(head_idx + 1) * d];
            self.merge_head(simd, head_idx, (maxima[head_idx], sums[head_idx]), values);
        }
    }

    /// The mixed values of one head, divided by the sum of exponentials.
    pub(super) fn write_head(&self, head_idx: usize, y: &mut [f32]) {
        let d = y.len();
        for (y, mixed) in y.iter_mut().zip(&self.mixed[head_idx * d..(head_idx + 1) * d]) {
            *y = mixed / self.sums[head_idx];
        }
    }

    /// [`Self::write_head`] for all heads.
    fn write(&self, y: &mut [f32]) {
        let d = y.len() / self.sums.len();
        for (head_idx, y) in y.chunks_exact_mut(d).enumerate() {
            self.write_head(head_idx, y);
        }
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
