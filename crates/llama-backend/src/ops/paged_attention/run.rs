//! Many neighbouring rows of one sequence at once, as a prompt has them: scores as outer products, and values mixed in
//! registers. The bits are those of `cpu.rs`, which goes row by row.

use std::ops::Range;

use super::cpu::{CHUNK_LEN, MIXED_VECTORS, Merged, Problem};
use crate::{
    ops::outer::{
        Aligned, FEWER_ROWS, PANEL_COLS, PANEL_VECTORS, TILE_ROWS, outer_products, pack_columns, pack_row,
        pending,
    },
    parallel::TileMut,
    simd::{ByteLanes, LANES, SixteenRows, axpy, exp_in_place, largest},
};

/// Fewer rows do not outweigh the rearrangement of the keys.
pub(super) const FEWEST_ROWS: usize = 4;

/// Rows `rows` of the batch, all of span `span_idx`, for one KV head.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) span_idx: usize,
    pub(super) rows: Range<usize>,
    pub(super) kv_head_idx: usize,
}

/// Memory of a task; kept between calls, so that no step allocates. A query is a row of one query head: query
/// `i * h / g + j` is head j of the run's row i.
///
/// # Shapes
/// q queries. `queries`: `[tiles, LANES, d / LANES, TILE_ROWS]`; `keys`: `[CHUNK_LEN / PANEL_COLS, LANES, d / LANES,
/// PANEL_COLS]`; `rows`: `[LANES, d]`; `values`: `[CHUNK_LEN, d]`; `scores`: `[q, CHUNK_LEN]`; `mixed`: `[q, d]`,
/// the chunk's; `statistics`: `[q]`, the chunk's maximum and sum; `merged`: of q heads.
#[derive(Default)]
pub(super) struct RunState {
    queries: Vec<f32>,
    keys: Vec<Aligned>,
    rows: Vec<f32>,
    values: Vec<Aligned>,
    scores: Vec<f32>,
    mixed: Vec<f32>,
    statistics: Vec<(f32, f32)>,
    merged: Merged,
}

/// Whether heads of size `d` can go this way.
pub(super) fn fits(d: usize) -> bool {
    d > 0 && d.is_multiple_of(LANES)
}

impl RunState {
    /// Computes a run and writes it to `tile`.
    #[inline(always)]
    pub(super) fn attend<S: ByteLanes>(
        &mut self,
        simd: S,
        problem: &Problem<'_>,
        run: &Run,
        tile: &mut TileMut<'_>,
    ) {
        let (h, g, d) = problem.heads;
        let num_heads = h / g;
        self.begin(problem, run);
        let position = |row_idx: usize| problem.position(run.span_idx, row_idx);
        let (first, last) = (position(run.rows.start), position(run.rows.end - 1));
        let mut start = problem.scope.first_visible(first) / CHUNK_LEN * CHUNK_LEN;
        while start <= last {
            let visible = start.max(problem.scope.first_visible(first))..(start + CHUNK_LEN).min(last + 1);
            let len = visible.end - start;
            self.gather(simd, problem, run, (start, visible));
            self.score(simd, problem, len);
            self.mix(simd, problem, run, start);
            start += CHUNK_LEN;
        }
        for (i, row_idx) in run.rows.clone().enumerate() {
            let y = tile.row_mut(row_idx - tile.rows.start);
            for (j, y) in y.chunks_exact_mut(d).enumerate() {
                self.merged.write_head(i * num_heads + j, y);
            }
        }
    }

    /// Clears what is known, and packs the queries.
    #[inline(always)]
    fn begin(&mut self, problem: &Problem<'_>, run: &Run) {
        let (h, g, d) = problem.heads;
        let num_heads = h / g;
        let num_queries = run.rows.len() * num_heads;
        self.merged.clear(num_queries, d);
        self.queries.clear();
        self.queries.resize(num_queries.next_multiple_of(TILE_ROWS) * d, 0.0);
        self.mixed.resize((num_queries * d).max(self.mixed.len()), 0.0);
        self.scores.resize(num_queries.next_multiple_of(TILE_ROWS) * CHUNK_LEN, 0.0);
        self.keys.resize(CHUNK_LEN * d / LANES, Aligned::default());
        self.values.resize(CHUNK_LEN * d / LANES, Aligned::default());
        self.rows.resize(LANES * d, 0.0);
        for query in 0..num_queries {
            let (row_idx, head_idx) = (run.rows.start + query / num_heads, query % num_heads);
            let at = (row_idx * h + run.kv_head_idx * num_heads + head_idx) * d;
            let tile = &mut self.queries[query / TILE_ROWS * TILE_ROWS * d..][..TILE_ROWS * d];
            pack_row(&problem.q[at..at + d], query % TILE_ROWS, tile);
        }
    }

    /// Collects the keys and values of a chunk from their blocks. Positions that nobody sees count as zero.
    #[inline(always)]
    fn gather<S: ByteLanes>(
        &mut self,
        simd: S,
        problem: &Problem<'_>,
        run: &Run,
        (start, visible): (usize, Range<usize>),
    ) {
        let (_, g, d) = problem.heads;
        let panel_len = PANEL_VECTORS * d;
        let num_groups = (visible.end - start).div_ceil(LANES);
        for group in 0..num_groups.next_multiple_of(PANEL_VECTORS) {
            for i in 0..LANES {
                let position = start + group * LANES + i;
                let row = &mut self.rows[i * d..(i + 1) * d];
                if !visible.contains(&position) {
                    row.fill(0.0);
                    continue;
                }
                let at = (problem.slot(run.span_idx, position) * g + run.kv_head_idx) * d;
                row.copy_from_slice(&problem.keys[at..at + d]);
                let value = problem.values[at..at + d].as_chunks::<LANES>().0;
                let to = &mut self.values[(position - start) * d / LANES..][..d / LANES];
                for (to, from) in to.iter_mut().zip(value) {
                    to.0 = *from;
                }
            }
            let rows = SixteenRows::new(bytemuck::cast_slice(&self.rows), 4 * d);
            let panel = &mut self.keys[group / PANEL_VECTORS * panel_len..][..panel_len];
            pack_columns(simd, rows, group % PANEL_VECTORS, panel);
        }
    }

    /// Scores of every query with the first `len` positions of a chunk.
    #[inline(always)]
    fn score<S: ByteLanes>(&mut self, simd: S, problem: &Problem<'_>, len: usize) {
        match S::HAS_WIDE_REGISTERS {
            true => self.score_by::<S, TILE_ROWS>(simd, problem, len),
            false => self.score_by::<S, FEWER_ROWS>(simd, problem, len),
        }
    }

    #[inline(always)]
    fn score_by<S: ByteLanes, const M: usize>(&mut self, simd: S, problem: &Problem<'_>, len: usize) {
        let (_, _, d) = problem.heads;
        let scale = simd.splat(problem.scope.scale);
        let mut pending = pending::<S, M>(simd);
        for panel_idx in 0..len.div_ceil(PANEL_COLS) {
            let panel = &self.keys[panel_idx * PANEL_VECTORS * d..][..PANEL_VECTORS * d];
            for (tile_idx, queries) in self.queries.chunks_exact(TILE_ROWS * d).enumerate() {
                for first in (0..TILE_ROWS).step_by(M) {
                    let sums = outer_products::<S, M>(simd, (queries, first), panel, &mut pending);
                    for (i, sums) in sums.into_iter().enumerate() {
                        let at = (tile_idx * TILE_ROWS + first + i) * CHUNK_LEN + panel_idx * PANEL_COLS;
                        let scores = self.scores[at..at + PANEL_COLS].as_chunks_mut::<LANES>().0;
                        for j in 0..PANEL_VECTORS {
                            simd.store(simd.mul(sums[j], scale), &mut scores[j]);
                        }
                    }
                }
            }
        }
    }

    /// Softmax of each query's scores, the chunk's weighted values, and the merge with the chunks before.
    #[inline(always)]
    fn mix<S: ByteLanes>(&mut self, simd: S, problem: &Problem<'_>, run: &Run, start: usize) {
        let (h, g, d) = problem.heads;
        let num_heads = h / g;
        let num_queries = run.rows.len() * num_heads;
        self.mixed[..num_queries * d].fill(0.0);
        self.statistics.clear();
        for query in 0..num_queries {
            let scores = &mut self.scores[query * CHUNK_LEN..][problem.seen(run, query / num_heads, start)];
            let maximum = largest(simd, scores);
            self.statistics.push((maximum, exp_in_place(simd, scores, maximum)));
        }
        let at_once = if S::HAS_WIDE_REGISTERS { 6 } else { 1 };
        let mut query = 0;
        while query < num_queries {
            let num = if num_queries - query >= at_once { at_once } else { 1 };
            // What all of them see is mixed in registers; what comes before and after, one by one and in order.
            let first = problem.seen(run, query / num_heads, start);
            let last = problem.seen(run, (query + num - 1) / num_heads, start);
            let common = first.start.max(last.start)..first.end.min(last.end);
            for query in query..query + num {
                let seen = problem.seen(run, query / num_heads, start);
                self.mix_one(simd, (query, d), seen.start..seen.end.min(common.start));
            }
            match num {
                6 => self.mix_many::<S, 6>(simd, (query, d), common.clone()),
                _ => self.mix_many::<S, 1>(simd, (query, d), common.clone()),
            }
            for query in query..query + num {
                let seen = problem.seen(run, query / num_heads, start);
                self.mix_one(simd, (query, d), seen.start.max(common.end.max(common.start))..seen.end);
            }
            query += num;
        }
        for query in 0..num_queries {
            // Not where nothing was seen: adding zero would turn a minus zero.
            if !problem.seen(run, query / num_heads, start).is_empty() {
                let mixed = &self.mixed[query * d..(query + 1) * d];
                self.merged.merge_head(simd, query, self.statistics[query], mixed);
            }
        }
    }

    #[inline(always)]
    fn mix_one<S: ByteLanes>(&mut self, simd: S, (query, d): (usize, usize), positions: Range<usize>) {
        let mixed = &mut self.mixed[query * d..(query + 1) * d];
        for position in positions {
            let weight = self.scores[query * CHUNK_LEN + position];
            let value = &self.values[position * d / LANES..][..d / LANES];
            for (value, mixed) in value.iter().zip(mixed.chunks_exact_mut(LANES)) {
                axpy(simd, weight, &value.0, mixed);
            }
        }
    }

    /// Adds weighted values to `Q` queries from `query` on.
    #[inline(always)]
    fn mix_many<S: ByteLanes, const Q: usize>(
        &mut self,
        simd: S,
        (query, d): (usize, usize),
        positions: Range<usize>,
    ) {
        let num_vectors = d / LANES;
        let mut vector = 0;
        while vector < num_vectors {
            if num_vectors - vector >= MIXED_VECTORS {
                self.mix_vectors::<S, Q, MIXED_VECTORS>(simd, (query, d, vector), positions.clone());
                vector += MIXED_VECTORS;
            } else {
                self.mix_vectors::<S, Q, 1>(simd, (query, d, vector), positions.clone());
                vector += 1;
            }
        }
    }

    #[inline(always)]
    fn mix_vectors<S: ByteLanes, const Q: usize, const V: usize>(
        &mut self,
        simd: S,
        (query, d, vector): (usize, usize, usize),
        positions: Range<usize>,
    ) {
        let mut sums = [[simd.splat(0.0); V]; Q];
        for (i, sums) in sums.iter_mut().enumerate() {
            let mixed = self.mixed[(query + i) * d + vector * LANES..].as_chunks::<LANES>().0;
            for j in 0..V {
                sums[j] = simd.load(&mixed[j]);
            }
        }
        let (weights, _) = self.scores[query * CHUNK_LEN..].as_chunks::<CHUNK_LEN>();
        let weights: &[[f32; CHUNK_LEN]] = &weights[..Q];
        for position in positions {
            let values = &self.values[position * d / LANES + vector..][..V];
            for i in 0..Q {
                let weight = simd.splat(weights[i][position]);
                for j in 0..V {
                    sums[i][j] = simd.mul_add(weight, simd.load(&values[j].0), sums[i][j]);
                }
            }
        }
        for (i, sums) in sums.into_iter().enumerate() {
            let mixed = self.mixed[(query + i) * d + vector * LANES..].as_chunks_mut::<LANES>().0;
            for j in 0..V {
                simd.store(sums[j], &mut mixed[j]);
            }
        }
    }
}

impl Problem<'_> {
    /// Which positions of the chunk at `start` a row of a run sees, counted from `start`.
    #[inline(always)]
    fn seen(&self, run: &Run, row: usize, start: usize) -> Range<usize> {
        let position = self.position(run.span_idx, run.rows.start + row);
        let first = self.scope.first_visible(position).max(start) - start;
        let end = (position + 1).min(start + CHUNK_LEN).saturating_sub(start);
        first.min(end)..end
    }
}
