//! The CPU path: a row's sum, mean, variance and result while it is in a cache.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape};

use super::LayerNorm;
use crate::{
    ops::rows::Rows,
    parallel::{Pool, TileMut, new_matrix},
    simd::{Kernel, Simd, dispatch, dot},
    weight::{MappedTensor, decode_row},
};

/// Rows of one task.
const TASK_ROWS: usize = 16;

pub(super) struct LayerNormCpu<'a>(pub(super) &'a LayerNorm);

impl CustomOp2 for LayerNormCpu<'_> {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (Rows::new("layer_norm", x, x_layout)?, Rows::new("layer_norm", y, y_layout)?);
        let (num_rows, width) = (x.len(), x.width());
        let (weight, bias) = (decoded(self.0.weight.mapped()), decoded(self.0.bias.mapped()));
        let problem =
            Problem { x: &x, y: &y, weight: &weight, bias: &bias, ones: &vec![1.0; width], eps: self.0.eps };
        let result = new_matrix(Pool::global(), (num_rows, width), (TASK_ROWS, width), &|tile| {
            dispatch(NormTile { problem: &problem, tile });
        });
        Ok((CpuStorage::F32(result), x_layout.shape().clone()))
    }
}

fn decoded(vector: &MappedTensor) -> Vec<f32> {
    let mut values = vec![0.0; vector.cols()];
    decode_row(vector.dtype(), vector.bytes(), &mut values);
    values
}

/// # Shapes
/// `x`, `y`: `[t, e]`; `weight`, `bias`, `ones`: `[e]`
struct Problem<'a> {
    x: &'a Rows<'a>,
    y: &'a Rows<'a>,
    weight: &'a [f32],
    bias: &'a [f32],
    /// A row's sum is its dot product with these, and so is taken in sixteen lanes.
    ones: &'a [f32],
    eps: f32,
}

struct NormTile<'a> {
    problem: &'a Problem<'a>,
    tile: TileMut<'a>,
}

impl Kernel for NormTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let Problem { x, y, weight, bias, ones, eps } = self.problem;
        for i in 0..self.tile.rows.len() {
            let row_idx = self.tile.rows.start + i;
            let row = self.tile.row_mut(i);
            let len = row.len() as f32;
            for ((sum, x), y) in row.iter_mut().zip(x.row(row_idx)).zip(y.row(row_idx)) {
                *sum = x + y;
            }
            let mean = dot(simd, row, ones) / len;
            row.iter_mut().for_each(|value| *value -= mean);
            let scale = 1.0 / (dot(simd, row, row) / len + eps).sqrt();
            for ((value, weight), bias) in row.iter_mut().zip(*weight).zip(*bias) {
                *value = *value * scale * weight + bias;
            }
        }
    }
}
