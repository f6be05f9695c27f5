//! The CPU path: one pass in sixteen lanes.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape};

use crate::{
    ops::rows::Rows,
    parallel::{Pool, TileMut, new_matrix},
    simd::{Kernel, LANES, Simd, dispatch, exp, pad},
};

/// Columns of one task.
const TASK_COLS: usize = 1024;

pub(super) struct SwiGluCpu;

impl CustomOp1 for SwiGluCpu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (t, width) = layout.shape().dims2()?;
        let f = width / 2;
        let gate_up = Rows::new("swiglu", storage, layout)?;
        let y = new_matrix(Pool::global(), (t, f), (4, TASK_COLS), &|tile| {
            dispatch(SwiGluTile { gate_up: &gate_up, tile });
        });
        Ok((CpuStorage::F32(y), Shape::from((t, f))))
    }
}

struct SwiGluTile<'a> {
    gate_up: &'a Rows<'a>,
    tile: TileMut<'a>,
}

impl Kernel for SwiGluTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let f = self.gate_up.width() / 2;
        for i in 0..self.tile.rows.len() {
            let (gate, up) = self.gate_up.row(self.tile.rows.start + i).split_at(f);
            let cols = self.tile.cols.clone();
            swiglu_row(simd, &gate[cols.clone()], &up[cols], self.tile.row_mut(i));
        }
    }
}

#[inline(always)]
pub(in crate::ops) fn swiglu_row<S: Simd>(simd: S, gate: &[f32], up: &[f32], y: &mut [f32]) {
    let (gates, gate_tail) = gate.as_chunks::<LANES>();
    let (ups, up_tail) = up.as_chunks::<LANES>();
    let (ys, y_tail) = y.as_chunks_mut::<LANES>();
    for ((gate, up), y) in gates.iter().zip(ups).zip(ys) {
        simd.store(swiglu_lanes(simd, gate, up), y);
    }
    if !y_tail.is_empty() {
        let mut padded = [0.0; LANES];
        simd.store(swiglu_lanes(simd, &pad(gate_tail), &pad(up_tail)), &mut padded);
        y_tail.copy_from_slice(&padded[..y_tail.len()]);
    }
}

/// `gate / (1 + e^-gate) * up`.
#[inline(always)]
fn swiglu_lanes<S: Simd>(simd: S, gate: &[f32; LANES], up: &[f32; LANES]) -> S::F32s {
    let gate = simd.load(gate);
    // e^88 is the last that f32 holds; below, the quotient is as good as zero. A NaN stays one.
    let negated = simd.mul(simd.max(simd.splat(-88.0), gate), simd.splat(-1.0));
    let denominator = simd.add(exp(simd, negated), simd.splat(1.0));
    simd.mul(simd.div(gate, denominator), simd.load(up))
}
