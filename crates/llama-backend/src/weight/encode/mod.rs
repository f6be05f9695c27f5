//! Encoding of f32 values in every stored format, the inverse of `decode.rs`.
//!
//! Invariant: the bytes depend on the row alone, not on threads or the instruction set. A value that a format cannot
//! hold is refused, never replaced: quantised formats and f16 take values of at most [`f16::MAX`] in magnitude, bf16
//! and f32 take everything. Which tensor gets which format is for the checkpoint to say.

mod blocks_of_32;
mod fit;
mod super_blocks;

use blocks_of_32::{q4_0, q4_1, q5_0, q8_0};
use half::{bf16, f16};
use super_blocks::{q4k, q5k, q6k};

use super::WeightDtype;
use crate::simd::{Kernel, Simd, dispatch};

/// A value that the format has no place for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unencodable {
    /// Where it stands in the row.
    pub col_idx: usize,
    /// NaN, an infinity, or larger than the format's largest.
    pub value: f32,
}

/// Encodes whole rows: `row` has room for `values.len()` values of format `dtype`.
///
/// Dense formats round to nearest even. Quantised formats choose the scales by weighted least squares (`fit.rs`).
///
/// # Errors
/// [`Unencodable`] names the first such value; `row` then holds nothing of use.
pub fn encode_row(dtype: WeightDtype, values: &[f32], row: &mut [u8]) -> Result<(), Unencodable> {
    dispatch(EncodeRow { dtype, values, row })
}

struct EncodeRow<'a> {
    dtype: WeightDtype,
    values: &'a [f32],
    row: &'a mut [u8],
}

/// Encodes rows of blocks with one of the functions of the submodules, whose arguments tell the sizes.
macro_rules! encode_blocks {
    ($encode:ident($simd:ident), $values:expr, $row:expr) => {
        for (values, block) in $values.as_chunks().0.iter().zip($row.as_chunks_mut().0) {
            $encode($simd, values, block);
        }
    };
}

impl Kernel for EncodeRow<'_> {
    type Output = Result<(), Unencodable>;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let Self { dtype, values, row } = self;
        assert_eq!(dtype.row_bytes(values.len()), Some(row.len()), "row of {dtype}");
        if !matches!(dtype, WeightDtype::F32 | WeightDtype::Bf16) {
            check(values)?;
        }
        match dtype {
            WeightDtype::F32 => {
                values.iter().zip(row.as_chunks_mut().0).for_each(|(x, to)| *to = x.to_le_bytes())
            }
            WeightDtype::F16 => encode_halves(values, row, |x| f16::from_f32(x).to_le_bytes()),
            WeightDtype::Bf16 => encode_halves(values, row, |x| bf16::from_f32(x).to_le_bytes()),
            WeightDtype::Q4_0 => encode_blocks!(q4_0(simd), values, row),
            WeightDtype::Q4_1 => encode_blocks!(q4_1(simd), values, row),
            WeightDtype::Q5_0 => encode_blocks!(q5_0(simd), values, row),
            WeightDtype::Q8_0 => encode_blocks!(q8_0(simd), values, row),
            WeightDtype::Q4K => encode_blocks!(q4k(simd), values, row),
            WeightDtype::Q5K => encode_blocks!(q5k(simd), values, row),
            WeightDtype::Q6K => encode_blocks!(q6k(simd), values, row),
        }
        Ok(())
    }
}

fn encode_halves(values: &[f32], row: &mut [u8], encode: impl Fn(f32) -> [u8; 2]) {
    for (&value, to) in values.iter().zip(row.as_chunks_mut().0) {
        *to = encode(value);
    }
}

/// Refuses what is not finite and what is larger than the largest scale.
fn check(values: &[f32]) -> Result<(), Unencodable> {
    let largest = f16::MAX.to_f32();
    match values.iter().position(|value| !(-largest..=largest).contains(value)) {
        Some(col_idx) => Err(Unencodable { col_idx, value: values[col_idx] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
