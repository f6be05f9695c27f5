//! The products: one input row straight from the unpacked registers, several from a panel in the first-level cache.
//!
//! Both add a block as [`add_block`] does, so that they give the same bits.

use std::{cell::RefCell, marker::PhantomData, ops::Range};

use super::{
    format::{Format, Kind, Lanes, Sink},
    input::{InputBlock, QuantizedRows},
    panel::{PanelBlock, PanelSink},
    window::{Window, WindowedWeight},
};
use crate::{
    parallel::TileMut,
    simd::{ByteLanes, Kernel, LANES, SixteenRows},
    weight::MappedTensor,
};

/// Most blocks of a panel: two of them and some input rows fit into a first-level cache. A multiple of 8, so that
/// stored blocks are whole.
const PANEL_BLOCKS: usize = 24;

thread_local! {
    /// Two panels of the running task; kept, so that no step allocates.
    static PANEL: RefCell<Vec<PanelBlock>> = const { RefCell::new(Vec::new()) };
}

/// One input row and some rows of a weight.
pub(super) struct OneRow<'a, 'b, F> {
    pub(super) x: &'a [InputBlock],
    pub(super) weight: &'a MappedTensor,
    pub(super) rows: Range<usize>,
    /// Where the products go, from a column on.
    pub(super) tile: (&'a mut TileMut<'b>, usize),
    pub(super) format: PhantomData<F>,
}

impl<F: Format> Kernel for OneRow<'_, '_, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(mut self, simd: S) {
        let windowed = WindowedWeight::new(self.weight);
        let (tile, mut col) = self.tile;
        simd.prefetch(windowed.sixteen_from(self.rows.start, self.rows.end));
        while !self.rows.is_empty() {
            let window = Window::new(&self.rows, self.weight.rows());
            let ahead = windowed.sixteen_from(self.rows.start + window.len, self.rows.end);
            let mut sink = DotSink::<S, F> { x: self.x, sums: simd.splat(0.0), format: PhantomData };
            unpack::<S, F>(simd, (windowed.rows(window), ahead), 0..self.x.len(), &mut sink);
            window.store(simd, sink.sums, &mut tile.row_mut(0)[col..]);
            self.rows.start += window.len;
            col += window.len;
        }
    }
}

/// Gives `sink` some blocks of sixteen rows. Meanwhile asks for as much of the rows ahead, in the order of memory:
/// the processor does not recognise sixteen rows read side by side as a stream.
#[inline(always)]
fn unpack<S: ByteLanes, F: Format>(
    simd: S,
    (rows, ahead): (SixteenRows<'_>, &[u8]),
    blocks: Range<usize>,
    sink: &mut impl Sink<S>,
) {
    let ahead_bytes = LANES * F::BLOCK_BYTES;
    for b in blocks.start / F::NUM_BLOCKS..blocks.end / F::NUM_BLOCKS {
        let start = (b * ahead_bytes).min(ahead.len());
        simd.prefetch(&ahead[start..(start + ahead_bytes).min(ahead.len())]);
        F::unpack(simd, rows, b * F::BLOCK_BYTES, sink);
    }
}

/// Adds blocks as they come.
struct DotSink<'a, S: ByteLanes, F> {
    x: &'a [InputBlock],
    sums: S::F32s,
    format: PhantomData<F>,
}

impl<S: ByteLanes, F: Format> Sink<S> for DotSink<'_, S, F> {
    #[inline(always)]
    fn take(&mut self, simd: S, lanes: &Lanes<S>) {
        let (x, rest) = self.x.split_first().expect("as many blocks of input as of weights");
        let mut sums = [[self.sums]];
        add_block::<S, F::Kind, 1, 1>(simd, ([x], F::OFFSET), Registers([lanes]), &mut sums);
        self.sums = sums[0][0];
        self.x = rest;
    }
}

/// Multiplies all input rows with some weight rows, two windows at a time where registers hold as many sums.
#[inline(always)]
pub(super) fn many_rows<S: ByteLanes, F: Format>(
    simd: S,
    x: QuantizedRows<'_>,
    (weight, mut rows): (&MappedTensor, Range<usize>),
    (tile, mut col): (&mut TileMut<'_>, usize),
) {
    let windowed = WindowedWeight::new(weight);
    let mut panel = PANEL.take();
    panel.resize(2 * PANEL_BLOCKS, PanelBlock::ZERO);
    while !rows.is_empty() {
        let first = Window::new(&rows, weight.rows());
        rows.start += first.len;
        let mut target = Target { tile, cols: [col; 2], windows: [first; 2], end_row: rows.end };
        col += first.len;
        if S::HAS_WIDE_REGISTERS {
            // Without a second window the first is computed twice.
            if !rows.is_empty() {
                let second = Window::new(&rows, weight.rows());
                (target.cols[1], target.windows[1]) = (col, second);
                rows.start += second.len;
                col += second.len;
            }
            windows_product::<S, F, 2>(simd, x, &windowed, &mut target, &mut panel);
        } else {
            windows_product::<S, F, 1>(simd, x, &windowed, &mut target, &mut panel);
        }
    }
    PANEL.set(panel);
}

/// Where the sums of one or two windows go.
struct Target<'a, 'b> {
    tile: &'a mut TileMut<'b>,
    cols: [usize; 2],
    windows: [Window; 2],
    /// The task's last row of the weight, and one.
    end_row: usize,
}

/// One panel after another of `N` windows, each with all input rows. Sums wait in the output meanwhile.
#[inline(always)]
fn windows_product<S: ByteLanes, F: Format, const N: usize>(
    simd: S,
    x: QuantizedRows<'_>,
    weight: &WindowedWeight<'_>,
    target: &mut Target<'_, '_>,
    panel: &mut [PanelBlock],
) {
    let num_blocks = x.row(0).len();
    let num_panels = num_blocks.div_ceil(PANEL_BLOCKS).max(1);
    let panel_len = num_blocks.div_ceil(num_panels).next_multiple_of(8).max(8);
    let mut start = 0;
    while start < num_blocks {
        let blocks = start..(start + panel_len).min(num_blocks);
        for j in 0..N {
            let window = target.windows[j];
            let ahead = weight.sixteen_from(window.first_row + N * LANES, target.end_row);
            simd.call(FillPanel::<F> {
                rows: (weight.rows(window), ahead),
                blocks: blocks.clone(),
                panel: &mut panel[j * PANEL_BLOCKS..],
                format: PhantomData,
            });
        }
        let (offset, kind) = (F::OFFSET, PhantomData::<F::Kind>);
        simd.call(RowsProduct::<F::Kind, N> { x, blocks: blocks.clone(), panel, target, offset, kind });
        start = blocks.end;
    }
}

/// Unpacks blocks of sixteen rows into a panel.
struct FillPanel<'a, F> {
    rows: (SixteenRows<'a>, &'a [u8]),
    blocks: Range<usize>,
    panel: &'a mut [PanelBlock],
    format: PhantomData<F>,
}

impl<F: Format> Kernel for FillPanel<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(self, simd: S) {
        let mut sink = PanelSink { blocks: self.panel, len: 0 };
        unpack::<S, F>(simd, self.rows, self.blocks, &mut sink);
    }
}

/// All input rows with one panel, as many at a time as the registers hold sums for.
struct RowsProduct<'a, 'b, 'c, K, const N: usize> {
    x: QuantizedRows<'a>,
    blocks: Range<usize>,
    panel: &'a [PanelBlock],
    target: &'a mut Target<'b, 'c>,
    offset: i32,
    kind: PhantomData<K>,
}

impl<K: Kind, const N: usize> Kernel for RowsProduct<'_, '_, '_, K, N> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(mut self, simd: S) {
        let t = self.x.len();
        let mut row = 0;
        while row < t {
            row += match (S::HAS_WIDE_REGISTERS, t - row) {
                (true, 6..) => self.tile::<S, 6>(simd, row),
                (_, 2..) => self.tile::<S, 2>(simd, row),
                _ => self.tile::<S, 1>(simd, row),
            };
        }
    }
}

impl<K: Kind, const N: usize> RowsProduct<'_, '_, '_, K, N> {
    /// `M` input rows from `row` on. Returns `M`.
    #[inline(always)]
    fn tile<S: ByteLanes, const M: usize>(&mut self, simd: S, row: usize) -> usize {
        let (x, blocks, target) = (self.x, &self.blocks, &mut *self.target);
        let mut sums = [[simd.splat(0.0); N]; M];
        let mut rows = [&x.row(row)[blocks.clone()]; M];
        for i in 0..M {
            rows[i] = &x.row(row + i)[blocks.clone()];
            for j in 0..N {
                if blocks.start > 0 {
                    let from = &target.tile.row_mut(row + i)[target.cols[j]..];
                    sums[i][j] = target.windows[j].load(simd, from);
                }
            }
        }
        let mut panels = [&self.panel[..blocks.len()]; N];
        for j in 0..N {
            panels[j] = &self.panel[j * PANEL_BLOCKS..][..blocks.len()];
        }
        for b in 0..blocks.len() {
            let mut x = [&rows[0][b]; M];
            for i in 0..M {
                x[i] = &rows[i][b];
            }
            let mut block = [&panels[0][b]; N];
            for j in 0..N {
                block[j] = &panels[j][b];
            }
            add_block::<S, K, M, N>(simd, (x, self.offset), InPanel(block), &mut sums);
        }
        for i in 0..M {
            for j in 0..N {
                let to = &mut target.tile.row_mut(row + i)[target.cols[j]..];
                target.windows[j].store(simd, sums[i][j], to);
            }
        }
        M
    }
}

/// 32 weights of `N` windows, in registers or in memory.
trait Block<S: ByteLanes>: Copy {
    fn quants(self, simd: S, window: usize, i: usize) -> S::I32s;
    fn scales(self, simd: S, window: usize, group: usize) -> S::F32s;
    fn minima(self, simd: S, window: usize) -> S::F32s;
}

#[derive(Clone, Copy)]
struct Registers<'a, S: ByteLanes, const N: usize>([&'a Lanes<S>; N]);

impl<S: ByteLanes, const N: usize> Block<S> for Registers<'_, S, N> {
    #[inline(always)]
    fn quants(self, _simd: S, window: usize, i: usize) -> S::I32s {
        self.0[window].quants[i]
    }
    #[inline(always)]
    fn scales(self, _simd: S, window: usize, group: usize) -> S::F32s {
        self.0[window].scales[group]
    }
    #[inline(always)]
    fn minima(self, _simd: S, window: usize) -> S::F32s {
        self.0[window].minima
    }
}

#[derive(Clone, Copy)]
struct InPanel<'a, const N: usize>([&'a PanelBlock; N]);

impl<S: ByteLanes, const N: usize> Block<S> for InPanel<'_, N> {
    #[inline(always)]
    fn quants(self, simd: S, window: usize, i: usize) -> S::I32s {
        simd.load_i32s(&self.0[window].quants[i])
    }
    #[inline(always)]
    fn scales(self, simd: S, window: usize, group: usize) -> S::F32s {
        simd.load(&self.0[window].scales[group])
    }
    #[inline(always)]
    fn minima(self, simd: S, window: usize) -> S::F32s {
        simd.load(&self.0[window].minima)
    }
}

/// Adds one block to the sums of `M` input rows and `N` windows. Loops over indices, because closures would not be
/// compiled with the instruction set.
#[inline(always)]
fn add_block<S: ByteLanes, K: Kind, const M: usize, const N: usize>(
    simd: S,
    (x, offset): ([&InputBlock; M], i32),
    weights: impl Block<S>,
    sums: &mut [[S::F32s; N]; M],
) {
    let group_len = 8 / K::NUM_SCALES;
    for group in 0..K::NUM_SCALES {
        let mut whole = [[simd.splat_i32s(0); N]; M];
        if !K::HAS_MINIMA {
            for i in 0..M {
                let sum = match K::NUM_SCALES {
                    1 => x[i].sums[0] + x[i].sums[1],
                    _ => x[i].sums[group],
                };
                whole[i] = [simd.splat_i32s(-offset * sum); N];
            }
        }
        for q in group * group_len..(group + 1) * group_len {
            let mut quants = [simd.splat_i32s(0); N];
            for j in 0..N {
                quants[j] = weights.quants(simd, j, q);
            }
            for i in 0..M {
                let four = simd.splat_i32s(x[i].four(q));
                for j in 0..N {
                    whole[i][j] = match K::IS_WIDE {
                        true => simd.dot_wide(whole[i][j], quants[j], four),
                        false => simd.dot(whole[i][j], quants[j], four),
                    };
                }
            }
        }
        for i in 0..M {
            let scale = simd.splat(x[i].scale);
            for j in 0..N {
                let scales = simd.mul(weights.scales(simd, j, group), scale);
                sums[i][j] = simd.mul_add(simd.to_f32s(whole[i][j]), scales, sums[i][j]);
            }
        }
    }
    if K::HAS_MINIMA {
        for i in 0..M {
            let total = simd.splat(x[i].total);
            for j in 0..N {
                sums[i][j] = simd.mul_add(weights.minima(simd, j), total, sums[i][j]);
            }
        }
    }
}
