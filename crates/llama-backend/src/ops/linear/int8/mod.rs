//! Linear layers as products of bytes: quantised weights as they lie in the map, and inputs rounded to eight bits.
//!
//! Sixteen weight rows are sixteen lanes. A block of 32 weights of each becomes eight vectors of four bytes a lane,
//! so one instruction adds 64 products into sixteen sums and none is ever summed across lanes. The sums of a block
//! are whole numbers, hence exact; then weight scale times input scale is multiplied in, once a block.
//!
//! Invariant: an output is the same chain of fused multiply-adds, block after block, whatever t, the tile, the
//! thread or the instruction set: bits do not depend on any of them.

#![allow(
    clippy::needless_range_loop,
    reason = "iterators take closures, which are not compiled with the instruction set"
)]

mod format;
mod input;
mod k_format;
mod panel;
mod product;
#[cfg(test)]
mod tests;
mod window;

use std::{marker::PhantomData, ops::Range};

pub(super) use input::{InputBlock, QuantizedRows};

use self::{
    format::{Format, Q4_0, Q4_1, Q5_0, Q8_0},
    k_format::{Q4K, Q5K, Q6K},
    product::{OneRow, many_rows},
};
use crate::{
    parallel::TileMut,
    simd::ByteLanes,
    weight::{MappedTensor, WeightDtype},
};

/// Computes the tile's columns from `first_col` on with rows `weight_rows` of a quantised weight.
#[inline(always)]
pub(super) fn weight_tile<S: ByteLanes>(
    simd: S,
    x: QuantizedRows<'_>,
    weight: (&MappedTensor, Range<usize>),
    tile: (&mut TileMut<'_>, usize),
) {
    match weight.0.dtype() {
        WeightDtype::Q4_0 => product::<S, Q4_0>(simd, x, weight, tile),
        WeightDtype::Q4_1 => product::<S, Q4_1>(simd, x, weight, tile),
        WeightDtype::Q5_0 => product::<S, Q5_0>(simd, x, weight, tile),
        WeightDtype::Q8_0 => product::<S, Q8_0>(simd, x, weight, tile),
        WeightDtype::Q4K => product::<S, Q4K>(simd, x, weight, tile),
        WeightDtype::Q5K => product::<S, Q5K>(simd, x, weight, tile),
        WeightDtype::Q6K => product::<S, Q6K>(simd, x, weight, tile),
        WeightDtype::F32 | WeightDtype::F16 | WeightDtype::Bf16 => {
            unreachable!("{:?} is not quantised", weight.0)
        }
    }
}

#[inline(always)]
fn product<S: ByteLanes, F: Format>(
    simd: S,
    x: QuantizedRows<'_>,
    weight: (&MappedTensor, Range<usize>),
    tile: (&mut TileMut<'_>, usize),
) {
    match x.len() {
        1 => {
            let (x, (weight, rows)) = (x.row(0), weight);
            simd.call(OneRow { x, weight, rows, tile, format: PhantomData::<F> });
        }
        _ => many_rows::<S, F>(simd, x, weight, tile),
    }
}
