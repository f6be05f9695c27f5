//! The CPU path: one pass for the square sum, one for the result.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape};

use super::RmsNorm;
use crate::{
    ops::rows::Rows,
    parallel::{Pool, TileMut, new_matrix},
    simd::{Kernel, Simd, dispatch, dot},
    weight::decode_row,
};

/// Rows of one task.
const TASK_ROWS: usize = 16;

pub(super) struct RmsNormCpu<'a>(pub(super) &'a RmsNorm);

impl CustomOp1 for RmsNormCpu<'_> {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = Rows::new("rms_norm", storage, layout)?;
        let (num_rows, width) = (x.len(), x.width());
        let mapped = self.0.weight.mapped();
        let mut weight = vec![0.0; width];
        decode_row(mapped.dtype(), mapped.bytes(), &mut weight);
        let y = new_matrix(Pool::global(), (num_rows, width), (TASK_ROWS, width), &|tile| {
            dispatch(NormTile { x: &x, weight: &weight, eps: self.0.eps, tile });
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }
}

struct NormTile<'a> {
    x: &'a Rows<'a>,
    weight: &'a [f32],
    eps: f32,
    tile: TileMut<'a>,
}

impl Kernel for NormTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for i in 0..self.tile.rows.len() {
            let x = self.x.row(self.tile.rows.start + i);
            let mean_square = dot(simd, x, x) / x.len() as f32;
            let scale = 1.0 / (mean_square + self.eps).sqrt();
            for ((y, x), weight) in self.tile.row_mut(i).iter_mut().zip(x).zip(self.weight) {
                *y = x * scale * weight;
            }
        }
    }
}
