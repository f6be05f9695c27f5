//! The CPU path: which way a weight is multiplied, and its split among threads.
//!
//! Invariant: an output is one sixteen-lane dot product over k, in the same order whatever t, the tile or the
//! thread, so a row's bits do not depend on its batch.

use std::{cell::RefCell, ops::Range};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape};

use super::{
    Activations, Linear, LinearPart, few,
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

/// The rows of an input, in the ways in which the weights of a layer need them.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Inputs<'a> {
    rows: &'a Rows<'a>,
    quantized: Option<QuantizedRows<'a>>,
    packed: Option<PackedRows<'a>>,
}

impl Inputs<'_> {
    /// Prepares `rows` for `layer`, and does `work` with it.
    pub(in crate::ops) fn with<R>(layer: &Linear, rows: &Rows<'_>, work: impl FnOnce(Inputs<'_>) -> R) -> R {
        let (mut blocks, mut values) = (INPUT.take(), PACKED.take());
        let quantized = layer.is_int8().then(|| QuantizedRows::new(rows, &mut blocks));
        let packed = if layer.is_exact() { PackedRows::new(rows, &mut values) } else { None };
        let result = work(Inputs { rows, quantized, packed });
        INPUT.set(blocks);
        PACKED.set(values);
        result
    }

    /// Columns of one task, of `num_cols`.
    pub(in crate::ops) fn task_cols(&self, num_cols: usize) -> usize {
        match (self.quantized, self.packed) {
            (None, Some(_)) => outer::TASK_COLS,
            _ => task_cols(num_cols, Pool::global().num_threads()),
        }
    }
}

impl CustomOp1 for LinearCpu<'_> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = Rows::new("linear", storage, layout)?;
        let (t, n) = (x.len(), self.0.out_features);
        let y = Inputs::with(self.0, &x, |inputs| {
            new_matrix(Pool::global(), (t, n), (t, inputs.task_cols(n)), &|tile| {
                dispatch(LinearTile { layer: self.0, inputs, tile });
            })
        });
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
    inputs: Inputs<'a>,
    tile: TileMut<'a>,
}

impl Kernel for LinearTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(self, simd: S) {
        let Self { layer, inputs, mut tile } = self;
        let mut first_col = 0;
        for part in &layer.parts {
            let cols = first_col..first_col + part.weight.rows();
            let start = cols.start.max(tile.cols.start);
            let end = cols.end.min(tile.cols.end);
            if start < end {
                let weight_rows = start - cols.start..end - cols.start;
                let first_col = start - tile.cols.start;
                simd.call(PartTile { part, weight_rows, inputs, tile: &mut tile, first_col });
            }
            first_col = cols.end;
        }
    }
}

/// A tile's columns from `first_col` on, computed with rows `weight_rows` of one part.
pub(in crate::ops) struct PartTile<'a, 'b> {
    pub(in crate::ops) part: &'a LinearPart,
    pub(in crate::ops) weight_rows: Range<usize>,
    pub(in crate::ops) inputs: Inputs<'a>,
    pub(in crate::ops) tile: &'a mut TileMut<'b>,
    pub(in crate::ops) first_col: usize,
}

impl Kernel for PartTile<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(self, simd: S) {
        let Self { part, weight_rows, inputs, tile, first_col } = self;
        let mut panel = PANEL.take();
        let weight = part.weight.mapped();
        let quantized = inputs.quantized.filter(|_| weight.dtype().is_quantized());
        let rows = (weight, weight_rows.clone());
        match (quantized, inputs.packed) {
            (Some(x), _) => int8::weight_tile(simd, x, rows, (&mut *tile, first_col)),
            (None, Some(x)) => {
                let mut scratch = OUTER.take();
                outer::weight_tile(simd, x, rows, (&mut *tile, first_col), &mut scratch);
                OUTER.set(scratch);
            }
            (None, None) => few::weight_tile(simd, inputs.rows, rows, (&mut *tile, first_col), &mut panel),
        }
        if let Some(bias) = &part.bias {
            add_bias(simd, bias.mapped(), weight_rows, (tile, first_col), &mut panel);
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
