//! The CPU path: dot products of input rows with weight rows as they lie in the map.
//!
//! Invariant: an output is one sixteen-lane dot product over k, in the same order whatever t, the tile or the
//! thread, so a row's bits do not depend on its batch. A weight that is not f32 is decoded a few rows at a time
//! into a scratch panel that stays in the first-level cache; the decoding is shared by all t rows.

use std::{cell::RefCell, ops::Range};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape};

use super::{
    Activations, Linear,
    int8::{self, InputBlock, QuantizedRows},
    outer::{self, PackedRows},
};
use crate::{
    ops::rows::Rows,
    parallel::{Pool, TileMut, for_each_tile},
    simd::{ByteLanes, Kernel, LANES, Simd, dispatch, pad},
    weight::{MappedTensor, WeightDtype, decode_row_with},
};

/// Output columns of one task: large enough to outweigh taking it, small enough to share evenly.
const TASK_COLS: usize = 48;

pub(super) struct LinearCpu<'a>(pub(super) &'a Linear);

impl Linear {
    /// Whether any weight sees rounded activations.
    fn is_int8(&self) -> bool {
        self.activations == Activations::Int8
            && self.parts.iter().any(|part| part.weight.mapped().dtype().is_quantized())
    }

    /// Whether any weight sees activations as they are.
    fn is_exact(&self) -> bool {
        self.activations == Activations::Exact
            || self.parts.iter().any(|part| !part.weight.mapped().dtype().is_quantized())
    }
}

impl CustomOp1 for LinearCpu<'_> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = Rows::new("linear", storage, layout)?;
        let (t, n) = (x.len(), self.0.out_features);
        let mut y = vec![0.0; t * n];
        let pool = Pool::global();
        let (mut blocks, mut values) = (INPUT.take(), PACKED.take());
        let quantized = self.0.is_int8().then(|| QuantizedRows::new(&x, &mut blocks));
        let packed = if self.0.is_exact() { PackedRows::new(&x, &mut values) } else { None };
        let task_cols = match (quantized, packed) {
            (Some(_), _) => int8::task_cols(n, pool.num_threads()),
            (None, Some(_)) => outer::TASK_COLS,
            (None, None) => TASK_COLS,
        };
        for_each_tile(pool, &mut y, (t, n), (t, task_cols), &|tile| {
            dispatch(LinearTile { layer: self.0, x: &x, quantized, packed, tile });
        });
        INPUT.set(blocks);
        PACKED.set(values);
        Ok((CpuStorage::F32(y), Shape::from((t, n))))
    }
}

thread_local! {
    /// Rounded input of the running call; kept, so that no step allocates.
    static INPUT: RefCell<Vec<InputBlock>> = const { RefCell::new(Vec::new()) };
    /// Rearranged input of the running call.
    static PACKED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    /// Decoded weight rows of the running task.
    static PANEL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    /// Weights rearranged for many rows.
    static OUTER: RefCell<outer::Scratch> = RefCell::default();
}

struct LinearTile<'a> {
    layer: &'a Linear,
    x: &'a Rows<'a>,
    quantized: Option<QuantizedRows<'a>>,
    packed: Option<PackedRows<'a>>,
    tile: TileMut<'a>,
}

impl Kernel for LinearTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(mut self, simd: S) {
        let mut panel = PANEL.take();
        let mut first_col = 0;
        for part in &self.layer.parts {
            let cols = first_col..first_col + part.weight.rows();
            let start = cols.start.max(self.tile.cols.start);
            let end = cols.end.min(self.tile.cols.end);
            if start < end {
                let weight_rows = start - cols.start..end - cols.start;
                let tile_col = start - self.tile.cols.start;
                let weight = part.weight.mapped();
                let quantized = self.quantized.filter(|_| weight.dtype().is_quantized());
                let (weight, tile) = ((weight, weight_rows.clone()), (&mut self.tile, tile_col));
                match (quantized, self.packed) {
                    (Some(x), _) => int8::weight_tile(simd, x, weight, tile),
                    (None, Some(x)) => {
                        let mut scratch = OUTER.take();
                        outer::weight_tile(simd, x, weight, tile, &mut scratch);
                        OUTER.set(scratch);
                    }
                    (None, None) => weight_tile(simd, self.x, weight, tile, &mut panel),
                }
                if let Some(bias) = &part.bias {
                    let tile = (&mut self.tile, tile_col);
                    add_bias(simd, bias.mapped(), weight_rows, tile, &mut panel);
                }
            }
            first_col = cols.end;
        }
        PANEL.set(panel);
    }
}

/// Computes the tile's columns from `first_col` on with rows `weight_rows` of one part.
#[inline(always)]
fn weight_tile<S: Simd>(
    simd: S,
    x: &Rows<'_>,
    (weight, weight_rows): (&MappedTensor, Range<usize>),
    (tile, first_col): (&mut TileMut<'_>, usize),
    panel: &mut Vec<f32>,
) {
    let step = match (S::HAS_WIDE_REGISTERS, x.len()) {
        (true, 1) => 6,
        (true, _) => 4,
        (false, _) => 3,
    };
    let mut row = weight_rows.start;
    let mut col = first_col;
    while row < weight_rows.end {
        let num_rows = step.min(weight_rows.end - row);
        let decoded = decoded_rows(simd, weight, row..row + num_rows, panel);
        match num_rows {
            6 => panel_product::<S, 1, 6>(simd, x, decoded, tile, col),
            4 => panel_product::<S, 6, 4>(simd, x, decoded, tile, col),
            3 => panel_product::<S, 2, 3>(simd, x, decoded, tile, col),
            _ => {
                for (i, row) in decoded.chunks_exact(x.width().max(1)).enumerate() {
                    panel_product::<S, 4, 1>(simd, x, row, tile, col + i);
                }
            }
        }
        row += num_rows;
        col += num_rows;
    }
}

/// The rows as f32: the mapped bytes themselves where they are aligned f32, otherwise decoded into `panel`.
#[inline(always)]
fn decoded_rows<'a, S: Simd>(
    simd: S,
    weight: &'a MappedTensor,
    rows: Range<usize>,
    panel: &'a mut Vec<f32>,
) -> &'a [f32] {
    let row_bytes = weight.row_bytes();
    let bytes = &weight.bytes()[rows.start * row_bytes..rows.end * row_bytes];
    if weight.dtype() == WeightDtype::F32
        && cfg!(target_endian = "little")
        && let Ok(values) = bytemuck::try_cast_slice(bytes)
    {
        return values;
    }
    let len = rows.len() * weight.cols();
    if panel.len() < len {
        panel.resize(len, 0.0);
    }
    decode_row_with(simd, weight.dtype(), bytes, &mut panel[..len]);
    &panel[..len]
}

/// Multiplies all rows of `x` with the `N` rows of `panel`, `M` rows of `x` at a time.
#[inline(always)]
fn panel_product<S: Simd, const M: usize, const N: usize>(
    simd: S,
    x: &Rows<'_>,
    panel: &[f32],
    tile: &mut TileMut<'_>,
    col: usize,
) {
    let t = x.len();
    let mut row = 0;
    while row + M <= t {
        let sums = dot_tile::<S, M, N>(simd, std::array::from_fn(|i| x.row(row + i)), panel);
        for (i, sums) in sums.iter().enumerate() {
            tile.row_mut(row + i)[col..col + N].copy_from_slice(sums);
        }
        row += M;
    }
    while row < t {
        let [sums] = dot_tile::<S, 1, N>(simd, [x.row(row)], panel);
        tile.row_mut(row)[col..col + N].copy_from_slice(&sums);
        row += 1;
    }
}

/// `M x N` dot products with one accumulator each. Loops over indices, because closures would not be compiled with
/// the instruction set.
#[inline(always)]
fn dot_tile<S: Simd, const M: usize, const N: usize>(
    simd: S,
    x: [&[f32]; M],
    panel: &[f32],
) -> [[f32; N]; M] {
    let k = x[0].len();
    let num_chunks = k / LANES;
    let x_chunks = x.map(|row| &row.as_chunks::<LANES>().0[..num_chunks]);
    let w: [&[f32]; N] = std::array::from_fn(|j| &panel[j * k..(j + 1) * k]);
    let w_chunks = w.map(|row| &row.as_chunks::<LANES>().0[..num_chunks]);
    let mut sums = [[simd.splat(0.0); N]; M];
    for c in 0..num_chunks {
        let mut w = [simd.splat(0.0); N];
        for j in 0..N {
            w[j] = simd.load(&w_chunks[j][c]);
        }
        for i in 0..M {
            let x = simd.load(&x_chunks[i][c]);
            for j in 0..N {
                sums[i][j] = simd.mul_add(x, w[j], sums[i][j]);
            }
        }
    }
    if !k.is_multiple_of(LANES) {
        let at = num_chunks * LANES;
        for i in 0..M {
            let x = simd.load(&pad(&x[i][at..]));
            for j in 0..N {
                sums[i][j] = simd.mul_add(x, simd.load(&pad(&w[j][at..])), sums[i][j]);
            }
        }
    }
    let mut totals = [[0.0; N]; M];
    for i in 0..M {
        for j in 0..N {
            totals[i][j] = simd.sum(sums[i][j]);
        }
    }
    totals
}

#[inline(always)]
fn add_bias<S: Simd>(
    simd: S,
    bias: &MappedTensor,
    range: Range<usize>,
    (tile, first_col): (&mut TileMut<'_>, usize),
    panel: &mut Vec<f32>,
) {
    if panel.len() < bias.cols() {
        panel.resize(bias.cols(), 0.0);
    }
    decode_row_with(simd, bias.dtype(), bias.bytes(), &mut panel[..bias.cols()]);
    for i in 0..tile.rows.len() {
        let row = &mut tile.row_mut(i)[first_col..first_col + range.len()];
        for (y, bias) in row.iter_mut().zip(&panel[range.clone()]) {
            *y += bias;
        }
    }
}
