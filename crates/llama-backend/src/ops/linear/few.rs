//! Few input rows: dot products with weight rows as they lie in the map, which is read once and in order.
//!
//! Invariant: an output is one sixteen-lane dot product over k, in the same order whatever t, the tile or the thread.
//! With wide registers sixteen outputs are computed at a time, by one or more inputs and weight rows, and their lanes
//! are summed together. Rows that are read side by side are not seen as a stream by the CPU, so the rows that come next
//! are asked for in the order in which they lie. A quantised weight is decoded a few rows at a time into a panel.

use std::ops::Range;

use crate::{
    ops::rows::Rows,
    parallel::TileMut,
    simd::{ByteLanes, LANES, pad},
    weight::{MappedTensor, WeightDtype, decode_row_with},
};

/// Rows of a quantised weight that are decoded at once.
const PANEL_ROWS: usize = LANES;

/// A dense format, sixteen values at a time.
trait Stored {
    /// Sixteen values.
    type Chunk;
    /// Bytes of one value.
    const VALUE_BYTES: usize;
    /// Cuts a row into chunks and the rest.
    fn chunks(row: &[u8]) -> (&[Self::Chunk], &[u8]);
    /// Fills the rest of a row with zeros.
    fn padded(rest: &[u8]) -> Self::Chunk;
    /// The values as lanes.
    fn load<S: ByteLanes>(simd: S, chunk: &Self::Chunk) -> S::F32s;
}

macro_rules! stored {
    ($name:ident, $value_bytes:literal, $load:ident) => {
        struct $name;
        impl Stored for $name {
            type Chunk = [u8; $value_bytes * LANES];
            const VALUE_BYTES: usize = $value_bytes;
            #[inline(always)]
            fn chunks(row: &[u8]) -> (&[Self::Chunk], &[u8]) {
                row.as_chunks()
            }
            #[inline(always)]
            fn padded(rest: &[u8]) -> Self::Chunk {
                let mut padded = [0; $value_bytes * LANES];
                padded[..rest.len()].copy_from_slice(rest);
                padded
            }
            #[inline(always)]
            fn load<S: ByteLanes>(simd: S, chunk: &Self::Chunk) -> S::F32s {
                simd.$load(chunk)
            }
        }
    };
}

stored!(F32, 4, load_bytes);
stored!(F16, 2, widen_f16s);
stored!(Bf16, 2, widen_bf16s);

/// Weight rows, one after another, and the columns of the tile that they are for.
struct Place<'a, 'b> {
    rows: &'a [u8],
    tile: &'a mut TileMut<'b>,
    first_col: usize,
}

/// Computes the tile's columns from `first_col` on with rows `weight_rows` of a weight.
#[inline(always)]
pub(super) fn weight_tile<S: ByteLanes>(
    simd: S,
    x: &Rows<'_>,
    (weight, weight_rows): (&MappedTensor, Range<usize>),
    (tile, first_col): (&mut TileMut<'_>, usize),
    panel: &mut Vec<f32>,
) {
    let row_bytes = weight.row_bytes();
    let rows = &weight.bytes()[weight_rows.start * row_bytes..weight_rows.end * row_bytes];
    let place = Place { rows, tile, first_col };
    match weight.dtype() {
        WeightDtype::F32 => product::<S, F32>(simd, x, place),
        WeightDtype::F16 => product::<S, F16>(simd, x, place),
        WeightDtype::Bf16 => product::<S, Bf16>(simd, x, place),
        dtype => {
            let Place { rows, tile, mut first_col } = place;
            for rows in rows.chunks(PANEL_ROWS * row_bytes) {
                let num_rows = rows.len() / row_bytes;
                let len = num_rows * weight.cols();
                panel.resize(len.max(panel.len()), 0.0);
                decode_row_with(simd, dtype, rows, &mut panel[..len]);
                let rows = bytemuck::cast_slice(&panel[..len]);
                product::<S, F32>(simd, x, Place { rows, tile: &mut *tile, first_col });
                first_col += num_rows;
            }
        }
    }
}

/// Chooses how many inputs and how many weight rows are in registers at once.
#[inline(always)]
fn product<S: ByteLanes, W: Stored>(simd: S, x: &Rows<'_>, place: Place<'_, '_>) {
    match (S::HAS_WIDE_REGISTERS, x.len()) {
        (true, 1) => product_by::<S, W, 1, 16>(simd, x, place),
        (true, 2) => product_by::<S, W, 2, 8>(simd, x, place),
        (true, 3 | 4) => product_by::<S, W, 4, 4>(simd, x, place),
        (true, _) => product_by::<S, W, 8, 2>(simd, x, place),
        (false, 1) => product_by::<S, W, 1, 3>(simd, x, place),
        (false, _) => product_by::<S, W, 2, 3>(simd, x, place),
    }
}

/// `N` weight rows at a time, and for each, `M` inputs at a time.
#[inline(always)]
fn product_by<S: ByteLanes, W: Stored, const M: usize, const N: usize>(
    simd: S,
    x: &Rows<'_>,
    Place { rows, tile, first_col }: Place<'_, '_>,
) {
    let row_bytes = x.width() * W::VALUE_BYTES;
    let num_rows = rows.len() / row_bytes;
    simd.prefetch(&rows[..rows.len().min(N * row_bytes)]);
    for first in (0..num_rows).step_by(N) {
        let (here, ahead) = rows[first * row_bytes..].split_at((num_rows - first).min(N) * row_bytes);
        let col = first_col + first;
        for row in (0..x.len()).step_by(M) {
            let ahead = if row == 0 { ahead } else { &[] };
            if here.len() == N * row_bytes {
                let sums = dot_tile::<S, W, M, N>(simd, (x, row), here, ahead);
                write::<S, M, N>(simd, sums, (&mut *tile, row, col));
                continue;
            }
            for (i, here) in here.chunks_exact(row_bytes).enumerate() {
                let sums = dot_tile::<S, W, M, 1>(simd, (x, row), here, ahead);
                write::<S, M, 1>(simd, sums, (&mut *tile, row, col + i));
            }
        }
    }
}

/// Lanes of the dot products of inputs `row..row + M` with `N` weight rows; past the last input, it is taken again. Loops
/// over indices, because closures would not be compiled with the instruction set.
#[inline(always)]
fn dot_tile<S: ByteLanes, W: Stored, const M: usize, const N: usize>(
    simd: S,
    (x, row): (&Rows<'_>, usize),
    weights: &[u8],
    ahead: &[u8],
) -> [[S::F32s; N]; M] {
    let k = x.width();
    let (num_chunks, row_bytes) = (k / LANES, k * W::VALUE_BYTES);
    let ahead_bytes = N * LANES * W::VALUE_BYTES;
    let x: [&[f32]; M] = std::array::from_fn(|i| x.row((row + i).min(x.len() - 1)));
    let x_chunks = x.map(|x| &x.as_chunks::<LANES>().0[..num_chunks]);
    let weights: [_; N] = std::array::from_fn(|j| W::chunks(&weights[j * row_bytes..(j + 1) * row_bytes]));
    let w_chunks = weights.map(|(chunks, _)| &chunks[..num_chunks]);
    let mut sums = [[simd.splat(0.0); N]; M];
    for c in 0..num_chunks {
        if let Some(ahead) = ahead.get(c * ahead_bytes..(c + 1) * ahead_bytes) {
            simd.prefetch(ahead);
        }
        let mut inputs = [simd.splat(0.0); M];
        for i in 0..M {
            inputs[i] = simd.load(&x_chunks[i][c]);
        }
        for j in 0..N {
            let w = W::load(simd, &w_chunks[j][c]);
            for i in 0..M {
                sums[i][j] = simd.mul_add(inputs[i], w, sums[i][j]);
            }
        }
    }
    if !k.is_multiple_of(LANES) {
        for j in 0..N {
            let w = W::load(simd, &W::padded(weights[j].1));
            for i in 0..M {
                sums[i][j] = simd.mul_add(simd.load(&pad(&x[i][num_chunks * LANES..])), w, sums[i][j]);
            }
        }
    }
    sums
}

/// Sums the lanes and writes what belongs to inputs that exist.
#[inline(always)]
fn write<S: ByteLanes, const M: usize, const N: usize>(
    simd: S,
    sums: [[S::F32s; N]; M],
    (tile, row, col): (&mut TileMut<'_>, usize, usize),
) {
    let num_rows = M.min(tile.rows.len() - row);
    if M * N == LANES {
        let mut all = [simd.splat(0.0); LANES];
        for i in 0..LANES {
            all[i] = sums[i / N][i % N];
        }
        let mut totals = [0.0; LANES];
        simd.store(simd.sums(all), &mut totals);
        for (i, totals) in totals.chunks_exact(N).enumerate().take(num_rows) {
            tile.row_mut(row + i)[col..col + N].copy_from_slice(totals);
        }
        return;
    }
    for (i, sums) in sums.iter().enumerate().take(num_rows) {
        let to = &mut tile.row_mut(row + i)[col..col + N];
        for j in 0..N {
            to[j] = simd.sum(sums[j]);
        }
    }
}
