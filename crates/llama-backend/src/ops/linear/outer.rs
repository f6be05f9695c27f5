//! Many input rows at once: outer products of columns of inputs and weights, sixteen output columns per vector.
//!
//! Invariant: the bits are those of the dot products in `cpu.rs`. There, lane l sums products l, l + 16, l + 32 and so
//! on, and a tree adds the lanes. Here a vector's lanes are sixteen outputs, so the sums of lane l are computed for
//! twelve rows and thirty-two columns at a time, for one l after another, and added by the same tree. Nothing is summed
//! across lanes, a weight that was loaded serves twelve rows, and an input thirty-two columns.

use std::ops::Range;

use crate::{
    ops::rows::Rows,
    parallel::{Pool, TileMut, for_each_tile},
    simd::{ByteLanes, LANE_BYTES, LANES, Simd, SixteenRows},
    weight::{MappedTensor, WeightDtype, decode_row_with},
};

/// Fewer rows do not outweigh the rearrangement of the weights.
pub(super) const FEWEST_ROWS: usize = 16;
/// Output columns of one task: those of one panel.
pub(super) const TASK_COLS: usize = PANEL_COLS;

const PANEL_VECTORS: usize = 2;
const PANEL_COLS: usize = PANEL_VECTORS * LANES;
const TILE_ROWS: usize = 12;
/// The order in which lanes are summed, so that two neighbours are to be added, then two neighbouring pairs, and so on.
const LANE_ORDER: [usize; LANES] = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];
const TREE_DEPTH: usize = 4;

/// Sixteen values that no read of a vector splits between two cache lines.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Aligned([f32; LANES]);

/// What a task needs besides input and output; kept between calls, so that no step allocates.
#[derive(Default)]
pub(super) struct Scratch {
    /// `[LANES, k / LANES, PANEL_COLS]`
    panel: Vec<Aligned>,
    /// `[LANES, k]`
    rows: Vec<f32>,
}

/// Input rows in tiles of twelve.
///
/// # Shapes
/// `[tiles, LANES, k / LANES, TILE_ROWS]`; rows past the last are zero.
#[derive(Clone, Copy)]
pub(super) struct PackedRows<'a> {
    values: &'a [f32],
    num_rows: usize,
    width: usize,
}

impl<'a> PackedRows<'a> {
    /// Rearranges `x` in `buffer`, if this is the way to multiply it.
    pub(super) fn new(x: &Rows<'_>, buffer: &'a mut Vec<f32>) -> Option<Self> {
        let (num_rows, width) = (x.len(), x.width());
        if num_rows < FEWEST_ROWS || !width.is_multiple_of(LANES) {
            return None;
        }
        let num_tiles = num_rows.div_ceil(TILE_ROWS);
        let tile_len = TILE_ROWS * width;
        if buffer.len() < num_tiles * tile_len {
            buffer.resize(num_tiles * tile_len, 0.0);
        }
        let values = &mut buffer[..num_tiles * tile_len];
        for_each_tile(Pool::global(), values, (num_tiles, tile_len), (1, tile_len), &|mut tile| {
            let first_row = tile.rows.start * TILE_ROWS;
            let packed = tile.row_mut(0);
            if first_row + TILE_ROWS > num_rows {
                packed.fill(0.0);
            }
            for row_idx in first_row..num_rows.min(first_row + TILE_ROWS) {
                let row = x.row(row_idx).as_chunks::<LANES>().0;
                for (chunk_idx, chunk) in row.iter().enumerate() {
                    let at = chunk_idx * TILE_ROWS + row_idx - first_row;
                    for (lane, &value) in chunk.iter().enumerate() {
                        packed[lane * row.len() * TILE_ROWS + at] = value;
                    }
                }
            }
        });
        Some(Self { values, num_rows, width })
    }
}

/// Computes the tile's columns from `first_col` on with rows `weight_rows` of a weight.
#[inline(always)]
pub(super) fn weight_tile<S: ByteLanes>(
    simd: S,
    x: PackedRows<'_>,
    weight: (&MappedTensor, Range<usize>),
    place: (&mut TileMut<'_>, usize),
    scratch: &mut Scratch,
) {
    match S::HAS_WIDE_REGISTERS {
        true => weight_tile_of::<S, TILE_ROWS>(simd, x, weight, place, scratch),
        false => weight_tile_of::<S, 3>(simd, x, weight, place, scratch),
    }
}

/// [`weight_tile`] with `M` rows of inputs in registers.
#[inline(always)]
fn weight_tile_of<S: ByteLanes, const M: usize>(
    simd: S,
    x: PackedRows<'_>,
    (weight, weight_rows): (&MappedTensor, Range<usize>),
    (tile, first_col): (&mut TileMut<'_>, usize),
    Scratch { panel, rows }: &mut Scratch,
) {
    let mut pending = [[[simd.splat(0.0); PANEL_VECTORS]; M]; TREE_DEPTH];
    panel.resize((x.width * PANEL_VECTORS).max(panel.len()), Aligned::default());
    rows.resize((x.width * LANES).max(rows.len()), 0.0);
    let panel = &mut panel[..x.width * PANEL_VECTORS];
    for (panel_idx, weight_row) in weight_rows.clone().step_by(PANEL_COLS).enumerate() {
        let panel_rows = weight_row..weight_rows.end.min(weight_row + PANEL_COLS);
        fill_panel(simd, (weight, panel_rows.clone()), panel, &mut rows[..x.width * LANES]);
        let first_col = first_col + panel_idx * PANEL_COLS;
        for (tile_idx, inputs) in x.values.chunks_exact(x.width * TILE_ROWS).enumerate() {
            let first_row = tile_idx * TILE_ROWS;
            let num_rows = TILE_ROWS.min(x.num_rows - first_row);
            let cols = first_col..first_col + panel_rows.len();
            let place = (&mut *tile, first_row..first_row + num_rows, cols);
            product(simd, inputs, panel, &mut pending, place);
        }
    }
}

/// Decodes weight rows and rearranges them.
///
/// # Shapes
/// As in [`Scratch`].
#[inline(always)]
fn fill_panel<S: ByteLanes>(
    simd: S,
    (weight, weight_rows): (&MappedTensor, Range<usize>),
    panel: &mut [Aligned],
    rows: &mut [f32],
) {
    let (width, row_bytes) = (weight.cols(), weight.row_bytes());
    let num_chunks = width / LANES;
    for vector_idx in 0..PANEL_VECTORS {
        let first = weight_rows.len().min(vector_idx * LANES);
        let num_rows = (weight_rows.len() - first).min(LANES);
        let first = weight_rows.start + first;
        let bytes = &weight.bytes()[first * row_bytes..(first + num_rows) * row_bytes];
        let is_stored_so = weight.dtype() == WeightDtype::F32 && cfg!(target_endian = "little");
        let decoded = match is_stored_so && num_rows == LANES {
            true => SixteenRows::new(bytes, row_bytes),
            false => {
                decode_row_with(simd, weight.dtype(), bytes, &mut rows[..num_rows * width]);
                rows[num_rows * width..].fill(0.0);
                SixteenRows::new(bytemuck::cast_slice(rows), 4 * width)
            }
        };
        for chunk_idx in 0..num_chunks {
            for quarter in 0..LANES / 4 {
                let columns = simd.transpose(decoded, chunk_idx * LANE_BYTES + quarter * 16);
                for i in 0..4 {
                    let lane = quarter * 4 + i;
                    let at = (lane * num_chunks + chunk_idx) * PANEL_VECTORS + vector_idx;
                    simd.store_i32s(columns[i], bytemuck::cast_mut(&mut panel[at].0));
                }
            }
        }
    }
}

/// Sums of some levels of the tree that wait for their neighbours.
type Pending<S, const M: usize> = [[[<S as Simd>::F32s; PANEL_VECTORS]; M]; TREE_DEPTH];

/// Multiplies a tile of inputs with a panel, `M` rows at a time, and writes the rows and columns that exist.
#[inline(always)]
fn product<S: ByteLanes, const M: usize>(
    simd: S,
    inputs: &[f32],
    panel: &[Aligned],
    pending: &mut Pending<S, M>,
    (tile, rows, cols): (&mut TileMut<'_>, Range<usize>, Range<usize>),
) {
    for first in (0..rows.len()).step_by(M) {
        let sums = outer_products::<S, M>(simd, (inputs, first), panel, pending);
        for i in 0..M.min(rows.len() - first) {
            let row = &mut tile.row_mut(rows.start + first + i)[cols.clone()];
            let (vectors, tail) = row.as_chunks_mut::<LANES>();
            for j in 0..vectors.len().min(PANEL_VECTORS) {
                simd.store(sums[i][j], &mut vectors[j]);
            }
            if !tail.is_empty() {
                let mut padded = [0.0; LANES];
                simd.store(sums[i][vectors.len()], &mut padded);
                tail.copy_from_slice(&padded[..tail.len()]);
            }
        }
    }
}

/// Sums of rows `first..first + M` of a tile of inputs with all columns of a panel. Loops over indices, because
/// closures would not be compiled with the instruction set.
#[inline(always)]
fn outer_products<S: ByteLanes, const M: usize>(
    simd: S,
    (inputs, first): (&[f32], usize),
    panel: &[Aligned],
    pending: &mut Pending<S, M>,
) -> [[S::F32s; PANEL_VECTORS]; M] {
    let (inputs, _) = inputs.as_chunks::<TILE_ROWS>();
    let (panel, _) = panel.as_chunks::<PANEL_VECTORS>();
    let num_chunks = panel.len() / LANES;
    let mut sums = [[simd.splat(0.0); PANEL_VECTORS]; M];
    for n in 0..LANES {
        let at = LANE_ORDER[n] * num_chunks;
        sums = lane_sums::<S, M>(simd, (&inputs[at..at + num_chunks], first), &panel[at..at + num_chunks]);
        // As many levels of the tree are complete as n has ones at its end.
        let num_complete = n.trailing_ones() as usize;
        for level in &pending[..num_complete] {
            for i in 0..M {
                for j in 0..PANEL_VECTORS {
                    sums[i][j] = simd.add(level[i][j], sums[i][j]);
                }
            }
        }
        if let Some(level) = pending.get_mut(num_complete) {
            for i in 0..M {
                level[i] = sums[i];
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
