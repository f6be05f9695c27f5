//! The CPU path: one pass, shared among threads only when there are many rows.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape};

use crate::{
    ops::rows::Rows,
    parallel::{Pool, TileMut, new_matrix},
    simd::{Kernel, Simd, dispatch},
};

/// Rows of one task.
const TASK_ROWS: usize = 32;

pub(super) struct ResidualCpu;

impl CustomOp2 for ResidualCpu {
    fn name(&self) -> &'static str {
        "residual"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (t, e) = x_layout.shape().dims2()?;
        let (x, y) = (Rows::new("residual", x, x_layout)?, Rows::new("residual", y, y_layout)?);
        let sum = new_matrix(Pool::global(), (t, e), (TASK_ROWS, e), &|tile| {
            dispatch(SumTile { x: &x, y: &y, tile });
        });
        Ok((CpuStorage::F32(sum), x_layout.shape().clone()))
    }
}

struct SumTile<'a> {
    x: &'a Rows<'a>,
    y: &'a Rows<'a>,
    tile: TileMut<'a>,
}

impl Kernel for SumTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, _simd: S) {
        for i in 0..self.tile.rows.len() {
            let row_idx = self.tile.rows.start + i;
            let pairs = self.x.row(row_idx).iter().zip(self.y.row(row_idx));
            for (sum, (x, y)) in self.tile.row_mut(i).iter_mut().zip(pairs) {
                *sum = x + y;
            }
        }
    }
}
