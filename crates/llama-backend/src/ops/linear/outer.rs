//! Many input rows at once, as outer products (`ops/outer.rs`). The bits are those of the dot products in `cpu.rs`.

use std::ops::Range;

use crate::{
    ops::{
        outer::{
            Aligned, FEWER_ROWS, PANEL_COLS, PANEL_VECTORS, Pending, TILE_ROWS, outer_products, pack_columns,
            pack_row, pack_rows, pending,
        },
        rows::Rows,
    },
    parallel::{Pool, TileMut, for_each_tile},
    simd::{ByteLanes, Kernel, LANES, SixteenRows, dispatch},
    weight::{MappedTensor, WeightDtype, decode_row_with},
};

/// Fewer rows do not outweigh the rearrangement of the weights.
pub(super) const FEWEST_ROWS: usize = 16;
/// If no more rows than this are left, less is multiplied than a full tile. With two times four it would take longer.
const LAST_ROWS: usize = 4;
/// Output columns of one task: those of one panel.
pub(super) const TASK_COLS: usize = PANEL_COLS;

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
            let sixteen = first_row * width..(first_row + LANES) * width;
            if let Some(rows) = x.contiguous().and_then(|values| values.get(sixteen)) {
                return dispatch(PackRows { rows, packed });
            }
            if first_row + TILE_ROWS > num_rows {
                packed.fill(0.0);
            }
            for row_idx in first_row..num_rows.min(first_row + TILE_ROWS) {
                pack_row(x.row(row_idx), row_idx - first_row, packed);
            }
        });
        Some(Self { values, num_rows, width })
    }
}

struct PackRows<'a> {
    /// `[16, k]`
    rows: &'a [f32],
    packed: &'a mut [f32],
}

impl Kernel for PackRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(self, simd: S) {
        let row_bytes = size_of_val(self.rows) / LANES;
        pack_rows(simd, SixteenRows::new(bytemuck::cast_slice(self.rows), row_bytes), self.packed);
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
        false => weight_tile_of::<S, FEWER_ROWS>(simd, x, weight, place, scratch),
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
    let mut pending = pending::<S, M>(simd);
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
            let rows = first_row..first_row + num_rows;
            if num_rows <= LAST_ROWS && M > LAST_ROWS {
                simd.call(LastTile { inputs, panel, tile: &mut *tile, rows, cols });
            } else {
                product::<S, M>(simd, inputs, panel, &mut pending, (&mut *tile, rows, cols));
            }
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
        pack_columns(simd, decoded, vector_idx, panel);
    }
}

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
        let rows = rows.start + first..rows.end;
        rows_product::<S, M>(simd, (inputs, first), panel, pending, (&mut *tile, rows, cols.clone()));
    }
}

/// Multiplies a tile of [`LAST_ROWS`] or fewer.
struct LastTile<'a, 'b> {
    inputs: &'a [f32],
    panel: &'a [Aligned],
    tile: &'a mut TileMut<'b>,
    rows: Range<usize>,
    cols: Range<usize>,
}

impl Kernel for LastTile<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(self, simd: S) {
        let Self { inputs, panel, tile, rows, cols } = self;
        let mut pending = pending::<S, LAST_ROWS>(simd);
        product(simd, inputs, panel, &mut pending, (tile, rows, cols));
    }
}

/// Multiplies `M` rows from `first` on, and writes those of `rows` that they are.
#[inline(always)]
fn rows_product<S: ByteLanes, const M: usize>(
    simd: S,
    (inputs, first): (&[f32], usize),
    panel: &[Aligned],
    pending: &mut Pending<S, M>,
    (tile, rows, cols): (&mut TileMut<'_>, Range<usize>, Range<usize>),
) {
    let rows = rows.start..rows.end.min(rows.start + M);
    for row in rows.clone() {
        simd.prefetch(bytemuck::cast_slice(&tile.row_mut(row)[cols.clone()]));
    }
    let sums = outer_products::<S, M>(simd, (inputs, first), panel, pending);
    for (i, sums) in sums.iter().enumerate().take(rows.len()) {
        let row = &mut tile.row_mut(rows.start + i)[cols.clone()];
        let (vectors, tail) = row.as_chunks_mut::<LANES>();
        if let Some(vectors) = vectors.first_chunk_mut::<PANEL_VECTORS>() {
            for j in 0..PANEL_VECTORS {
                simd.store(sums[j], &mut vectors[j]);
            }
            continue;
        }
        for j in 0..vectors.len() {
            simd.store(sums[j], &mut vectors[j]);
        }
        if !tail.is_empty() {
            let mut padded = [0.0; LANES];
            simd.store(sums[vectors.len()], &mut padded);
            tail.copy_from_slice(&padded[..tail.len()]);
        }
    }
}
