//! The CPU path: one pass, straight from a strided view.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape};

use super::RopeLayout;
use crate::{
    ops::rows::Rows,
    parallel::{Pool, TileMut, new_matrix},
    simd::{Kernel, Simd, dispatch},
};

/// Heads of one task.
const TASK_ROWS: usize = 64;

pub(super) struct RopeCpu {
    pub(super) layout: RopeLayout,
}

impl CustomOp3 for RopeCpu {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        cos: &CpuStorage,
        cos_layout: &Layout,
        sin: &CpuStorage,
        sin_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_t, h, d) = x_layout.shape().dims3()?;
        let x = Rows::new("rope", x, x_layout)?;
        let angles = (Rows::new("rope", cos, cos_layout)?, Rows::new("rope", sin, sin_layout)?);
        let y = new_matrix(Pool::global(), (x.len(), d), (TASK_ROWS, d), &|tile| {
            dispatch(RopeTile { x: &x, angles: &angles, num_heads: h, layout: self.layout, tile });
        });
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }
}

struct RopeTile<'a> {
    x: &'a Rows<'a>,
    angles: &'a (Rows<'a>, Rows<'a>),
    num_heads: usize,
    layout: RopeLayout,
    tile: TileMut<'a>,
}

impl Kernel for RopeTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, _simd: S) {
        for i in 0..self.tile.rows.len() {
            let row_idx = self.tile.rows.start + i;
            let x = self.x.row(row_idx);
            let cos = self.angles.0.row(row_idx / self.num_heads);
            let sin = self.angles.1.row(row_idx / self.num_heads);
            let y = self.tile.row_mut(i);
            match self.layout {
                RopeLayout::Halves => rotate_halves(x, (cos, sin), y),
                RopeLayout::Pairs => rotate_pairs(x, (cos, sin), y),
            }
        }
    }
}

#[inline(always)]
fn rotate_halves(x: &[f32], (cos, sin): (&[f32], &[f32]), y: &mut [f32]) {
    let half = x.len() / 2;
    let (x0, x1) = x.split_at(half);
    let (y0, y1) = y.split_at_mut(half);
    for i in 0..half {
        y0[i] = x0[i] * cos[i] - x1[i] * sin[i];
        y1[i] = x1[i] * cos[i] + x0[i] * sin[i];
    }
}

#[inline(always)]
fn rotate_pairs(x: &[f32], (cos, sin): (&[f32], &[f32]), y: &mut [f32]) {
    let pairs = x.as_chunks::<2>().0.iter().zip(y.as_chunks_mut::<2>().0);
    for (i, ([x0, x1], [y0, y1])) in pairs.enumerate() {
        *y0 = x0 * cos[i] - x1 * sin[i];
        *y1 = x1 * cos[i] + x0 * sin[i];
    }
}
