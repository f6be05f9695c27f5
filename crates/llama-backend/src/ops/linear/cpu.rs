//! The CPU path: which way a weight is multiplied, and its split among threads.
//!
//! Invariant: an output is one sixteen-lane dot product over k, in the same order whatever t, the tile or the
//! thread, so a row's bits do not depend on its batch.

use std::{cell::RefCell, ops::Range};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape};

use super::{
    Activations, Linear, few,
    int8::{self, InputBlock, QuantizedRows},
    outer::{self, PackedRows},
};
use crate::{
    ops::rows::Rows,
    parallel::{Pool, TileMut, new_matrix},
    simd::{ByteLanes, Kernel, LANES, Simd, dispatch},
    weight::{MappedTensor, decode_row_with},
};

/// Output columns of one task: a few tasks a thread, so that threads end together, and no more, because a task's first
/// rows are not yet in a cache.
fn task_cols(num_cols: usize, num_threads: usize) -> usize {
    const TASKS_PER_THREAD: usize = 4;
    num_cols.div_ceil(TASKS_PER_THREAD * num_threads).next_multiple_of(2 * LANES)
}

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
        let pool = Pool::global();
        let (mut blocks, mut values) = (INPUT.take(), PACKED.take());
        let quantized = self.0.is_int8().then(|| QuantizedRows::new(&x, &mut blocks));
        let packed = if self.0.is_exact() { PackedRows::new(&x, &mut values) } else { None };
        let task_cols = match (quantized, packed) {
            (None, Some(_)) => outer::TASK_COLS,
            _ => task_cols(n, pool.num_threads()),
        };
        let y = new_matrix(pool, (t, n), (t, task_cols), &|tile| {
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
                    (None, None) => few::weight_tile(simd, self.x, weight, tile, &mut panel),
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
