//! The CPU path: a task computes some columns of both projections, and their activation while they are in a cache.
//!
//! Invariant: the bits are those of the two operations.

use std::cell::RefCell;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape};

use crate::{
    ops::{
        linear::{
            Linear,
            cpu::{Inputs, PartTile},
        },
        rows::Rows,
        swiglu::cpu::swiglu_row,
    },
    parallel::{Pool, TileMut, new_matrix},
    simd::{ByteLanes, Kernel, LANES, dispatch},
};

/// Most values of both projections that a task keeps: some fit into a second-level cache beside weights and inputs.
const MOST_VALUES: usize = 1 << 17;

pub(super) struct GatedLinearCpu<'a>(pub(super) &'a Linear);

impl CustomOp1 for GatedLinearCpu<'_> {
    fn name(&self) -> &'static str {
        "gated_linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = Rows::new("gated_linear", storage, layout)?;
        let (t, f) = (x.len(), self.0.out_features() / 2);
        let y = Inputs::with(self.0, &x, |inputs| {
            let most_cols = (MOST_VALUES / (2 * t).max(1)).next_multiple_of(2 * LANES);
            let task_cols = inputs.task_cols(f).min(most_cols);
            new_matrix(Pool::global(), (t, f), (t, task_cols), &|tile| {
                dispatch(GatedTile { gate_up: self.0, inputs, tile });
            })
        });
        Ok((CpuStorage::F32(y), Shape::from((t, f))))
    }
}

thread_local! {
    /// Both projections of the running task: `[t, 2 columns]`; kept, so that no step allocates.
    static GATE_UP: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

struct GatedTile<'a> {
    gate_up: &'a Linear,
    inputs: Inputs<'a>,
    tile: TileMut<'a>,
}

impl Kernel for GatedTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(self, simd: S) {
        let Self { gate_up, inputs, mut tile } = self;
        let (t, cols) = (tile.rows.len(), tile.cols.clone());
        let width = 2 * cols.len();
        let mut both = GATE_UP.take();
        both.resize((t * width).max(both.len()), 0.0);
        let values = &mut both[..t * width];
        for (i, part) in gate_up.parts().iter().enumerate() {
            let tile = &mut TileMut::whole(values, (t, width));
            let first_col = i * cols.len();
            simd.call(PartTile { part, weight_rows: cols.clone(), inputs, tile, first_col });
        }
        for (row_idx, row) in values.chunks_exact(width).enumerate() {
            let (gate, up) = row.split_at(cols.len());
            swiglu_row(simd, gate, up, tile.row_mut(row_idx));
        }
        GATE_UP.set(both);
    }
}
