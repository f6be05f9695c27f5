//! The CPU path: a task computes some columns of the projection, and their activation while they are in a cache.
//!
//! Invariant: the bits are those of `linear` and then [`gelu_in_place`].

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape};

use super::gelu::gelu_in_place;
use crate::{
    ops::{
        linear::{
            Linear, LinearPart,
            cpu::{Inputs, PartTile},
        },
        rows::Rows,
    },
    parallel::{Pool, TileMut, new_matrix},
    simd::{ByteLanes, Kernel, dispatch},
};

pub(super) struct GeluLinearCpu<'a> {
    pub(super) layer: &'a Linear,
    /// The only part of `layer`.
    pub(super) part: &'a LinearPart,
}

impl CustomOp1 for GeluLinearCpu<'_> {
    fn name(&self) -> &'static str {
        "gelu_linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = Rows::new("gelu_linear", storage, layout)?;
        let (t, f) = (x.len(), self.part.weight.rows());
        let y = Inputs::with(self.layer, &x, |inputs| {
            new_matrix(Pool::global(), (t, f), (t, inputs.task_cols(f)), &|tile| {
                dispatch(GeluTile { part: self.part, inputs, tile });
            })
        });
        Ok((CpuStorage::F32(y), Shape::from((t, f))))
    }
}

struct GeluTile<'a> {
    part: &'a LinearPart,
    inputs: Inputs<'a>,
    tile: TileMut<'a>,
}

impl Kernel for GeluTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(self, simd: S) {
        let Self { part, inputs, mut tile } = self;
        let weight_rows = tile.cols.clone();
        simd.call(PartTile { part, weight_rows, inputs, tile: &mut tile, first_col: 0 });
        for i in 0..tile.rows.len() {
            gelu_in_place(simd, tile.row_mut(i));
        }
    }
}
