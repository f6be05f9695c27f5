//! The CPU path: a task is one head for some rows. It lays out keys and values of each span that these belong to, and
//! goes through the rows twelve at a time, with scores and sums in registers.
//!
//! Invariant: a score is summed over d in order, a maximum and a sum of exponentials are taken in sixteen lanes over the
//! span, and values are added in the order of the span; so neither the batch nor the split into tasks shows in the bits.

use std::{cell::RefCell, ops::Range};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, bail};

use super::Spans;
use crate::{
    ops::{
        outer::{Aligned, FEWER_ROWS, PANEL_COLS, PANEL_VECTORS, TILE_ROWS},
        rows::Rows,
    },
    parallel::{Pool, TileMut, new_matrix},
    simd::{ByteLanes, Kernel, LANES, SixteenRows, dispatch, exp_in_place, largest},
};

/// Most rows of one task; fewer lay out keys and values too often.
const MOST_ROWS: usize = 96;

pub(super) struct SpanAttentionCpu<'a> {
    pub(super) spans: &'a Spans,
    pub(super) num_heads: usize,
}

impl CustomOp1 for SpanAttentionCpu<'_> {
    fn name(&self) -> &'static str {
        "span_attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (t, width) = layout.shape().dims2()?;
        let Some(qkv) = Rows::new("span_attention", storage, layout)?.contiguous() else {
            bail!("span_attention: the input must be contiguous");
        };
        let (h, d) = (self.num_heads, width / 3 / self.num_heads);
        let problem = Problem { qkv, spans: self.spans, heads: (h, d) };
        let task_rows = t.div_ceil(2 * Pool::global().num_threads()).clamp(TILE_ROWS, MOST_ROWS);
        let y = new_matrix(Pool::global(), (t, h * d), (task_rows, d), &|tile| {
            dispatch(AttentionTile { problem: &problem, tile });
        });
        Ok((CpuStorage::F32(y), Shape::from((t, h * d))))
    }
}

/// # Shapes
/// `qkv`: `[t, 3 h d]`; `heads`: `(h, d)`.
struct Problem<'a> {
    qkv: &'a [f32],
    spans: &'a Spans,
    heads: (usize, usize),
}

/// Which of a row's three vectors of each head.
#[derive(Clone, Copy)]
enum Role {
    Query,
    Key,
    Value,
}

impl<'a> Problem<'a> {
    /// Values of one row of `qkv`.
    #[inline(always)]
    fn width(&self) -> usize {
        3 * self.heads.0 * self.heads.1
    }

    /// Where a head's vector begins within a row.
    #[inline(always)]
    fn offset(&self, role: Role, head_idx: usize) -> usize {
        let (h, d) = self.heads;
        (role as usize * h + head_idx) * d
    }

    #[inline(always)]
    fn vector(&self, row_idx: usize, role: Role, head_idx: usize) -> &'a [f32] {
        &self.qkv[row_idx * self.width() + self.offset(role, head_idx)..][..self.heads.1]
    }
}

thread_local! {
    /// Kept, so that no step allocates.
    static STATE: RefCell<State> = RefCell::default();
}

struct AttentionTile<'a> {
    problem: &'a Problem<'a>,
    tile: TileMut<'a>,
}

impl Kernel for AttentionTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(mut self, simd: S) {
        let head_idx = self.tile.cols.start / self.problem.heads.1;
        let rows = self.tile.rows.clone();
        let mut state = STATE.take();
        for span in self.problem.spans.touching(rows.clone()) {
            state.lay_out(simd, self.problem, &span, head_idx);
            let mut row_idx = span.start.max(rows.start);
            let end = span.end.min(rows.end);
            while row_idx < end {
                let together = row_idx..end.min(row_idx + TILE_ROWS);
                row_idx = together.end;
                state.pack_queries(self.problem, together.clone(), head_idx);
                match S::HAS_WIDE_REGISTERS {
                    true => state.attend::<S, TILE_ROWS>(simd, together, &mut self.tile),
                    false => state.attend::<S, FEWER_ROWS>(simd, together, &mut self.tile),
                }
            }
        }
        STATE.set(state);
    }
}

/// One head of one span, and some of its queries.
///
/// # Shapes
/// s positions. `keys`: `[s / PANEL_COLS, d]` panels' columns; `values`: `[s, d / LANES]` vectors, the last one filled up;
/// `queries`: `[d, TILE_ROWS]`; `scores`: `[TILE_ROWS, s]`, s filled up to whole panels.
#[derive(Default)]
struct State {
    keys: Vec<[Aligned; PANEL_VECTORS]>,
    values: Vec<Aligned>,
    queries: Vec<f32>,
    scores: Vec<f32>,
    len: usize,
    d: usize,
}

impl State {
    /// Positions with those that fill up the last panel.
    #[inline(always)]
    fn padded_len(&self) -> usize {
        self.len.next_multiple_of(PANEL_COLS)
    }

    /// Rearranges the keys and values of a span.
    #[inline(always)]
    fn lay_out<S: ByteLanes>(
        &mut self,
        simd: S,
        problem: &Problem<'_>,
        span: &Range<usize>,
        head_idx: usize,
    ) {
        (self.len, self.d) = (span.len(), problem.heads.1);
        let (d, num_vectors) = (self.d, self.d.div_ceil(LANES));
        let grow = |len: usize, current: usize| len.max(current);
        self.keys.resize(grow(self.padded_len() / PANEL_COLS * d, self.keys.len()), <_>::default());
        self.values.resize(grow(self.len * num_vectors, self.values.len()), Aligned::default());
        self.scores.resize(grow(self.padded_len() * TILE_ROWS, self.scores.len()), 0.0);
        self.queries.resize(grow(d * TILE_ROWS, self.queries.len()), 0.0);
        for group in 0..self.padded_len() / LANES {
            let first = group * LANES;
            let num_rows = self.len.saturating_sub(first).min(LANES);
            let columns = &mut self.keys[first / PANEL_COLS * d..][..d];
            let vector = group % PANEL_VECTORS;
            if num_rows == LANES && d.is_multiple_of(4) {
                transpose(simd, problem, (span.start + first, head_idx), (columns, vector));
                continue;
            }
            for (c, column) in columns.iter_mut().enumerate() {
                for (i, value) in column[vector].0.iter_mut().enumerate() {
                    let row_idx = span.start + first + i;
                    *value = if i < num_rows { problem.vector(row_idx, Role::Key, head_idx)[c] } else { 0.0 };
                }
            }
        }
        for (position, to) in self.values[..self.len * num_vectors].chunks_exact_mut(num_vectors).enumerate()
        {
            let value = problem.vector(span.start + position, Role::Value, head_idx);
            for (to, from) in to.iter_mut().zip(value.chunks(LANES)) {
                to.0[..from.len()].copy_from_slice(from);
            }
        }
    }

    /// Lays out the scaled queries of up to [`TILE_ROWS`] rows; the rest of the tile keeps what it had, and is not used.
    #[inline(always)]
    fn pack_queries(&mut self, problem: &Problem<'_>, rows: Range<usize>, head_idx: usize) {
        let scale = 1.0 / (self.d as f32).sqrt();
        for (i, row_idx) in rows.enumerate() {
            let query = problem.vector(row_idx, Role::Query, head_idx);
            for (column, value) in self.queries.chunks_exact_mut(TILE_ROWS).zip(query) {
                column[i] = value * scale;
            }
        }
    }

    /// Attention of some rows, of which `M` are in registers at once.
    #[inline(always)]
    fn attend<S: ByteLanes, const M: usize>(&mut self, simd: S, rows: Range<usize>, tile: &mut TileMut<'_>) {
        let stride = self.padded_len();
        for first in (0..rows.len()).step_by(M) {
            let num_rows = M.min(rows.len() - first);
            self.score::<S, M>(simd, first);
            let mut scales = [0.0; M];
            for (i, scale) in scales.iter_mut().enumerate().take(num_rows) {
                let scores = &mut self.scores[(first + i) * stride..][..self.len];
                let maximum = largest(simd, scores);
                *scale = 1.0 / exp_in_place(simd, scores, maximum);
            }
            let first_row = rows.start - tile.rows.start + first;
            let num_vectors = self.d.div_ceil(LANES);
            let mut vector = 0;
            while vector < num_vectors {
                let place = (&mut *tile, first_row, num_rows);
                if num_vectors - vector >= 2 {
                    self.mix::<S, M, 2>(simd, (first, vector), &scales, place);
                    vector += 2;
                } else {
                    self.mix::<S, M, 1>(simd, (first, vector), &scales, place);
                    vector += 1;
                }
            }
        }
    }

    /// Scores of `M` queries from `first` on with all positions.
    #[inline(always)]
    fn score<S: ByteLanes, const M: usize>(&mut self, simd: S, first: usize) {
        let stride = self.padded_len();
        let queries = &self.queries.as_chunks::<TILE_ROWS>().0[..self.d];
        for panel_idx in 0..stride / PANEL_COLS {
            let panel = &self.keys[panel_idx * self.d..][..self.d];
            let mut sums = [[simd.splat(0.0); PANEL_VECTORS]; M];
            for (query, keys) in queries.iter().zip(panel) {
                let keys = [simd.load(&keys[0].0), simd.load(&keys[1].0)];
                for i in 0..M {
                    let x = simd.splat(query[first + i]);
                    for j in 0..PANEL_VECTORS {
                        sums[i][j] = simd.mul_add(x, keys[j], sums[i][j]);
                    }
                }
            }
            for (i, sums) in sums.into_iter().enumerate() {
                let at = (first + i) * stride + panel_idx * PANEL_COLS;
                let scores = self.scores[at..at + PANEL_COLS].as_chunks_mut::<LANES>().0;
                for j in 0..PANEL_VECTORS {
                    simd.store(sums[j], &mut scores[j]);
                }
            }
        }
    }

    /// `V` vectors of the mixed values of `M` queries, written where their rows exist.
    #[inline(always)]
    fn mix<S: ByteLanes, const M: usize, const V: usize>(
        &self,
        simd: S,
        (first, vector): (usize, usize),
        scales: &[f32; M],
        (tile, first_row, num_rows): (&mut TileMut<'_>, usize, usize),
    ) {
        let (stride, num_vectors) = (self.padded_len(), self.d.div_ceil(LANES));
        let mut weights = [&self.scores[..0]; M];
        for (i, weights) in weights.iter_mut().enumerate() {
            *weights = &self.scores[(first + i) * stride..][..self.len];
        }
        let mut sums = [[simd.splat(0.0); V]; M];
        for (position, values) in self.values.chunks_exact(num_vectors).enumerate().take(self.len) {
            let values = &values[vector..vector + V];
            for i in 0..M {
                let weight = simd.splat(weights[i][position]);
                for j in 0..V {
                    sums[i][j] = simd.mul_add(weight, simd.load(&values[j].0), sums[i][j]);
                }
            }
        }
        for i in 0..num_rows {
            let row = &mut tile.row_mut(first_row + i)[vector * LANES..];
            for (j, to) in row.chunks_mut(LANES).enumerate().take(V) {
                let mut mixed = [0.0; LANES];
                simd.store(simd.mul(sums[i][j], simd.splat(scales[i])), &mut mixed);
                to.copy_from_slice(&mixed[..to.len()]);
            }
        }
    }
}

/// Sixteen keys from row `first` on as columns of one of a panel's vectors.
#[inline(always)]
fn transpose<S: ByteLanes>(
    simd: S,
    problem: &Problem<'_>,
    (first, head_idx): (usize, usize),
    (columns, vector): (&mut [[Aligned; PANEL_VECTORS]], usize),
) {
    let width = problem.width();
    let bytes = bytemuck::cast_slice(&problem.qkv[first * width..(first + LANES) * width]);
    let rows = SixteenRows::new(bytes, 4 * width);
    for (quarter, columns) in columns.chunks_exact_mut(4).enumerate() {
        let at = problem.offset(Role::Key, head_idx) + 4 * quarter;
        for (column, keys) in columns.iter_mut().zip(simd.transpose(rows, 4 * at)) {
            simd.store_i32s(keys, bytemuck::cast_mut(&mut column[vector].0));
        }
    }
}
