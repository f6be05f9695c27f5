//! Products of many rows with many columns as outer products: the bits of [`crate::simd::dot`], without sums across
//! lanes.
//!
//! Invariant: there, lane l of a dot product sums products l, l + 16, l + 32 and so on, and a tree adds the lanes. Here a
//! vector's lanes are sixteen outputs; the sums of lane l are computed for twelve rows and thirty-two columns at a time,
//! for one l after another, and added by the same tree. A column that was loaded serves twelve rows, and an input
//! thirty-two columns.

use crate::simd::{ByteLanes, LANE_BYTES, LANES, Simd, SixteenRows};

pub(super) const PANEL_VECTORS: usize = 2;
/// Columns of a panel.
pub(super) const PANEL_COLS: usize = PANEL_VECTORS * LANES;
/// Rows of a tile of inputs.
pub(super) const TILE_ROWS: usize = 12;
/// Rows of a tile that are in registers at once, where there are fewer of those.
pub(super) const FEWER_ROWS: usize = 3;
/// The order in which lanes are summed, so that two neighbours are to be added, then two neighbouring pairs, and so on:
/// the lane's bits reversed. Tiles and panels hold lanes in this order, so that they are read from end to end.
const LANE_ORDER: [usize; LANES] = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];
const TREE_DEPTH: usize = 4;

/// Sixteen values that no read of a vector splits between two cache lines.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Aligned(pub(super) [f32; LANES]);

/// Sums of some levels of the tree that wait for their neighbours.
pub(super) type Pending<S, const M: usize> = [[[<S as Simd>::F32s; PANEL_VECTORS]; M]; TREE_DEPTH];

/// Puts a row of inputs into a tile.
///
/// # Shapes
/// `row`: `[k]`; `tile`: `[LANES, k / LANES, TILE_ROWS]`
#[inline(always)]
pub(super) fn pack_row(row: &[f32], row_in_tile: usize, tile: &mut [f32]) {
    let row = row.as_chunks::<LANES>().0;
    for (chunk_idx, chunk) in row.iter().enumerate() {
        let at = chunk_idx * TILE_ROWS + row_in_tile;
        for (lane, &value) in chunk.iter().enumerate() {
            tile[LANE_ORDER[lane] * row.len() * TILE_ROWS + at] = value;
        }
    }
}

/// Puts sixteen rows of inputs into a tile, or as many of them as it holds: the bytes of f32 rows.
///
/// # Shapes
/// As in [`pack_row`].
#[inline(always)]
pub(super) fn pack_rows<S: ByteLanes>(simd: S, rows: SixteenRows<'_>, tile: &mut [f32]) {
    let num_chunks = rows.row_bytes() / LANE_BYTES;
    for chunk_idx in 0..num_chunks {
        for quarter in 0..LANES / 4 {
            let columns = simd.transpose(rows, chunk_idx * LANE_BYTES + quarter * 16);
            for (i, column) in columns.into_iter().enumerate() {
                let place = LANE_ORDER[quarter * 4 + i];
                let at = (place * num_chunks + chunk_idx) * TILE_ROWS;
                // What is too much is overwritten by the next chunk, unless there is none.
                match tile[at..].first_chunk_mut::<LANES>() {
                    Some(to) if chunk_idx + 1 < num_chunks => simd.store_i32s(column, bytemuck::cast_mut(to)),
                    _ => {
                        let mut values = [0.0f32; LANES];
                        simd.store_i32s(column, bytemuck::cast_mut(&mut values));
                        tile[at..at + TILE_ROWS].copy_from_slice(&values[..TILE_ROWS]);
                    }
                }
            }
        }
    }
}

/// Puts sixteen columns, which lie in memory as rows of f32, into a panel.
///
/// # Shapes
/// `rows`: `[LANES, k]`; `panel`: `[LANES, k / LANES, PANEL_VECTORS]` vectors, of which every `vector_idx`-th is written.
#[inline(always)]
pub(super) fn pack_columns<S: ByteLanes>(
    simd: S,
    rows: SixteenRows<'_>,
    vector_idx: usize,
    panel: &mut [Aligned],
) {
    let num_chunks = rows.row_bytes() / LANE_BYTES;
    for chunk_idx in 0..num_chunks {
        for quarter in 0..LANES / 4 {
            let columns = simd.transpose(rows, chunk_idx * LANE_BYTES + quarter * 16);
            for (i, column) in columns.into_iter().enumerate() {
                let place = LANE_ORDER[quarter * 4 + i];
                let at = (place * num_chunks + chunk_idx) * PANEL_VECTORS + vector_idx;
                simd.store_i32s(column, bytemuck::cast_mut(&mut panel[at].0));
            }
        }
    }
}

/// Room for [`outer_products`], to be kept between calls.
#[inline(always)]
pub(super) fn pending<S: Simd, const M: usize>(simd: S) -> Pending<S, M> {
    [[[simd.splat(0.0); PANEL_VECTORS]; M]; TREE_DEPTH]
}

/// Sums of rows `first..first + M` of a tile of inputs with all columns of a panel. Loops over indices, because
/// closures would not be compiled with the instruction set.
#[inline(always)]
pub(super) fn outer_products<S: ByteLanes, const M: usize>(
    simd: S,
    (inputs, first): (&[f32], usize),
    panel: &[Aligned],
    pending: &mut Pending<S, M>,
) -> [[S::F32s; PANEL_VECTORS]; M] {
    let (inputs, _) = inputs.as_chunks::<TILE_ROWS>();
    let (panel, _) = panel.as_chunks::<PANEL_VECTORS>();
    let num_chunks = panel.len() / LANES;
    for n in 0..LANES - 1 {
        let range = n * num_chunks..(n + 1) * num_chunks;
        let sums = lane_sums::<S, M>(simd, (&inputs[range.clone()], first), &panel[range]);
        // As many levels of the tree are complete as n has ones at its end.
        let num_complete = n.trailing_ones() as usize;
        let sums = add_levels::<S, M>(simd, &pending[..num_complete], sums);
        // One by one: assigned as a whole, the sums would go through memory twice.
        for i in 0..M {
            for j in 0..PANEL_VECTORS {
                pending[num_complete][i][j] = sums[i][j];
            }
        }
    }
    let range = (LANES - 1) * num_chunks..LANES * num_chunks;
    let sums = lane_sums::<S, M>(simd, (&inputs[range.clone()], first), &panel[range]);
    add_levels::<S, M>(simd, pending, sums)
}

/// Adds sums to those of complete levels, the lowest first.
#[inline(always)]
fn add_levels<S: Simd, const M: usize>(
    simd: S,
    levels: &[[[S::F32s; PANEL_VECTORS]; M]],
    mut sums: [[S::F32s; PANEL_VECTORS]; M],
) -> [[S::F32s; PANEL_VECTORS]; M] {
    for level in levels {
        for i in 0..M {
            for j in 0..PANEL_VECTORS {
                sums[i][j] = simd.add(level[i][j], sums[i][j]);
            }
        }
    }
    sums
}

/// The sums of one lane of the dot products.
#[inline(always)]
fn lane_sums<S: ByteLanes, const M: usize>(
    simd: S,
    (inputs, first): (&[[f32; TILE_ROWS]], usize),
    panel: &[[Aligned; PANEL_VECTORS]],
) -> [[S::F32s; PANEL_VECTORS]; M] {
    let mut sums = [[simd.splat(0.0); PANEL_VECTORS]; M];
    for (input, weights) in inputs.iter().zip(panel) {
        let w = [simd.load(&weights[0].0), simd.load(&weights[1].0)];
        for i in 0..M {
            let x = simd.splat(input[first + i]);
            for j in 0..PANEL_VECTORS {
                sums[i][j] = simd.mul_add(x, w[j], sums[i][j]);
            }
        }
    }
    sums
}
