//! Input rows rounded to eight bits, in blocks of 32 with a scale each.
//!
//! Invariant: a row's blocks depend on the row alone, and have the same bits on every instruction set: the code is
//! plain Rust, which each set compiles for itself.

use crate::{
    ops::rows::Rows,
    parallel::{Pool, TileMut, for_each_tile},
    simd::{ByteLanes, Kernel, dispatch},
};

/// Values of one block.
pub(super) const BLOCK_LEN: usize = 32;

/// Below this a block's values count as zero: their inverse would overflow.
const SMALLEST: f32 = 1e-36;

/// 32 values: each is about `scale` times its quant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::ops::linear) struct InputBlock {
    /// -127 to 127.
    pub(super) quants: [u8; BLOCK_LEN],
    /// NaN if a value was not finite.
    pub(super) scale: f32,
    /// Sum of all values, for weights that have a minimum.
    pub(super) total: f32,
    /// Sum of the quants of each half.
    pub(super) sums: [i32; 2],
}

impl InputBlock {
    /// Quants `4 i..4 i + 4`.
    #[inline(always)]
    pub(super) fn four(&self, i: usize) -> i32 {
        i32::from_le_bytes(self.quants.as_chunks().0[i])
    }

    #[inline(always)]
    fn new(values: &[f32; BLOCK_LEN]) -> Self {
        // Without their sign, bits of floats are in order; infinities and NaN come last.
        let mut largest = 0;
        for value in values {
            largest = largest.max(value.to_bits() & 0x7fff_ffff);
        }
        let largest = f32::from_bits(largest);
        if !largest.is_finite() {
            return Self { scale: f32::NAN, total: f32::NAN, ..Self::default() };
        }
        if largest < SMALLEST {
            return Self::default();
        }
        let inverse = 127.0 / largest;
        let mut block = Self { scale: largest / 127.0, ..Self::default() };
        let (mut low, mut high) = (0, 0);
        for i in 0..BLOCK_LEN / 2 {
            let (a, b) = (nearest(values[i] * inverse), nearest(values[BLOCK_LEN / 2 + i] * inverse));
            block.quants[i] = a as u8;
            block.quants[BLOCK_LEN / 2 + i] = b as u8;
            low += a;
            high += b;
        }
        block.sums = [low, high];
        block.total = block.scale * (low + high) as f32;
        block
    }
}

/// The nearest whole number, ties to even, of a value far below 2^22: there a float's last bit counts one.
#[inline(always)]
fn nearest(value: f32) -> i32 {
    const SHIFT: f32 = 12_582_912.0;
    (value + SHIFT).to_bits() as i32 - SHIFT.to_bits() as i32
}

/// A matrix of blocks.
///
/// # Shapes
/// `[t, k / 32]`
#[derive(Clone, Copy)]
pub(in crate::ops::linear) struct QuantizedRows<'a> {
    blocks: &'a [InputBlock],
    row_blocks: usize,
}

impl<'a> QuantizedRows<'a> {
    /// Rounds all rows of `x` into `blocks`.
    pub(in crate::ops::linear) fn new(x: &Rows<'_>, blocks: &'a mut Vec<InputBlock>) -> Self {
        /// Rows of one task: some microseconds of work.
        const TASK_ROWS: usize = 8;
        let (t, row_blocks) = (x.len(), x.width() / BLOCK_LEN);
        blocks.resize(t * row_blocks, InputBlock::default());
        for_each_tile(Pool::global(), blocks, (t, row_blocks), (TASK_ROWS, row_blocks.max(1)), &|tile| {
            dispatch(QuantizeTile { x, tile });
        });
        Self { blocks, row_blocks }
    }

    /// Number of rows, t.
    #[inline(always)]
    pub(super) fn len(self) -> usize {
        self.blocks.len() / self.row_blocks.max(1)
    }

    #[inline(always)]
    pub(super) fn row(self, row_idx: usize) -> &'a [InputBlock] {
        &self.blocks[row_idx * self.row_blocks..(row_idx + 1) * self.row_blocks]
    }
}

struct QuantizeTile<'a> {
    x: &'a Rows<'a>,
    tile: TileMut<'a, InputBlock>,
}

impl Kernel for QuantizeTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(mut self, _simd: S) {
        for i in 0..self.tile.rows.len() {
            let row = self.x.row(self.tile.rows.start + i).as_chunks().0;
            let blocks = self.tile.row_mut(i);
            for b in 0..blocks.len() {
                blocks[b] = InputBlock::new(&row[b]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(values: impl Fn(usize) -> f32) -> InputBlock {
        InputBlock::new(&std::array::from_fn(values))
    }

    #[test]
    fn the_largest_value_becomes_127() {
        let block = block(|i| if i == 20 { -63.5 } else { i as f32 / 4.0 });
        assert_eq!((block.quants[20] as i8, block.scale), (-127, 0.5));
        // Halfway cases go to the even neighbour: 0.25 / 0.5 to 0, 0.75 / 0.5 to 2.
        assert_eq!(block.quants[..8], [0, 0, 1, 2, 2, 2, 3, 4]);
        let sum = |quants: &[u8]| quants.iter().map(|&q| i32::from(q as i8)).sum::<i32>();
        assert_eq!(block.sums, [sum(&block.quants[..16]), sum(&block.quants[16..])]);
        assert_eq!(block.total, 0.5 * (block.sums[0] + block.sums[1]) as f32);
    }

    #[test]
    fn nothing_and_next_to_nothing_are_zero() {
        assert_eq!(block(|_| 0.0), InputBlock::default());
        assert_eq!(block(|_| -1e-40), InputBlock::default());
    }

    #[test]
    fn large_values_keep_their_scale() {
        let block = block(|i| if i == 0 { 3e38 } else { 1e30 });
        assert!(block.scale.is_finite() && block.quants[0] == 127 && block.quants[1] == 0);
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let block = block(|i| if i == 31 { value } else { 1.0 });
            assert!(block.scale.is_nan() && block.total.is_nan() && block.sums == [0, 0]);
        }
    }
}
