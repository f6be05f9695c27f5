//! Decoding of stored elements to f32, sixteen at a time.
//!
//! Invariant: a stored value decodes to the same f32 wherever it is read, so a fused kernel, the reference path
//! and an exported tensor agree. The block layouts are those of ggml (`ggml-quants.c` of llama.cpp).

use super::WeightDtype;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Decodes rows of sixteen-bit values with a method of the instruction set. (A closure would not be compiled with it.)
macro_rules! decode_halves {
    ($simd:ident.$widen:ident, $row:expr, $to:expr) => {{
        let (from_chunks, from_tail) = $row.as_chunks::<{ 2 * LANES }>();
        let (to_chunks, to_tail) = $to.as_chunks_mut::<LANES>();
        for (from, to) in from_chunks.iter().zip(to_chunks) {
            $simd.store($simd.$widen(from), to);
        }
        if !to_tail.is_empty() {
            let mut from = [0; 2 * LANES];
            let mut padded = [0.0; LANES];
            from[..from_tail.len()].copy_from_slice(from_tail);
            $simd.store($simd.$widen(&from), &mut padded);
            to_tail.copy_from_slice(&padded[..to_tail.len()]);
        }
    }};
}

/// Decodes rows of blocks with one of the functions below, whose arguments tell the sizes.
macro_rules! decode_blocks {
    ($decode:ident($simd:ident), $row:expr, $to:expr) => {
        for (block, to) in $row.as_chunks().0.iter().zip($to.as_chunks_mut().0) {
            $decode($simd, block, to);
        }
    };
}

/// Decodes whole rows: `row` holds `to.len()` values of format `dtype`.
pub fn decode_row(dtype: WeightDtype, row: &[u8], to: &mut [f32]) {
    dispatch(DecodeRow { dtype, row, to });
}

struct DecodeRow<'a> {
    dtype: WeightDtype,
    row: &'a [u8],
    to: &'a mut [f32],
}

impl Kernel for DecodeRow<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        decode_row_with(simd, self.dtype, self.row, self.to);
    }
}

/// [`decode_row`] inside a kernel that has chosen its instructions already.
#[inline(always)]
pub(crate) fn decode_row_with<S: Simd>(simd: S, dtype: WeightDtype, row: &[u8], to: &mut [f32]) {
    assert_eq!(dtype.row_bytes(to.len()), Some(row.len()), "row of {dtype}");
    match dtype {
        WeightDtype::F32 => decode_f32(row, to),
        WeightDtype::F16 => decode_halves!(simd.widen_f16s, row, to),
        WeightDtype::Bf16 => decode_halves!(simd.widen_bf16s, row, to),
        WeightDtype::Q4_0 => decode_blocks!(q4_0(simd), row, to),
        WeightDtype::Q4_1 => decode_blocks!(q4_1(simd), row, to),
        WeightDtype::Q5_0 => decode_blocks!(q5_0(simd), row, to),
        WeightDtype::Q8_0 => decode_blocks!(q8_0(simd), row, to),
        WeightDtype::Q4K => decode_blocks!(q4k(simd), row, to),
        WeightDtype::Q5K => decode_blocks!(q5k(simd), row, to),
        WeightDtype::Q6K => decode_blocks!(q6k(simd), row, to),
    }
}

#[inline(always)]
fn decode_f32(row: &[u8], to: &mut [f32]) {
    for (from, to) in row.as_chunks::<4>().0.iter().zip(to) {
        *to = f32::from_le_bytes(*from);
    }
}

#[inline(always)]
fn half_at<S: Simd>(simd: S, block: &[u8], at: usize) -> f32 {
    simd.widen_f16(u16::from_le_bytes([block[at], block[at + 1]]))
}

#[inline(always)]
fn splat_half_at<S: Simd>(simd: S, block: &[u8], at: usize) -> S::F32s {
    simd.splat_f16(u16::from_le_bytes([block[at], block[at + 1]]))
}

#[inline(always)]
fn sixteen(bytes: &[u8], at: usize) -> &[u8; LANES] {
    bytes[at..].first_chunk().expect("a block has sixteen bytes here")
}

#[inline(always)]
fn q4_0<S: Simd>(simd: S, block: &[u8; 18], to: &mut [f32; 32]) {
    let scale = splat_half_at(simd, block, 0);
    let centre = simd.splat(-8.0);
    let quants = sixteen(block, 2);
    let (halves, _) = to.as_chunks_mut::<LANES>();
    let low = simd.add(simd.widen_low_nibbles(quants), centre);
    let high = simd.add(simd.widen_high_nibbles(quants), centre);
    simd.store(simd.mul(low, scale), &mut halves[0]);
    simd.store(simd.mul(high, scale), &mut halves[1]);
}

#[inline(always)]
fn q4_1<S: Simd>(simd: S, block: &[u8; 20], to: &mut [f32; 32]) {
    let scale = splat_half_at(simd, block, 0);
    let minimum = splat_half_at(simd, block, 2);
    let quants = sixteen(block, 4);
    let (halves, _) = to.as_chunks_mut::<LANES>();
    let low = simd.mul_add(simd.widen_low_nibbles(quants), scale, minimum);
    let high = simd.mul_add(simd.widen_high_nibbles(quants), scale, minimum);
    simd.store(low, &mut halves[0]);
    simd.store(high, &mut halves[1]);
}

#[inline(always)]
fn q5_0<S: Simd>(simd: S, block: &[u8; 22], to: &mut [f32; 32]) {
    let scale = splat_half_at(simd, block, 0);
    let fifth = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
    let quants = sixteen(block, 6);
    let fifth_bit = |i: usize| ((fifth >> i) as u8 & 1) << 4;
    let low = std::array::from_fn(|i| ((quants[i] & 15) | fifth_bit(i)).wrapping_sub(16));
    let high = std::array::from_fn(|i| ((quants[i] >> 4) | fifth_bit(i + 16)).wrapping_sub(16));
    let (halves, _) = to.as_chunks_mut::<LANES>();
    simd.store(simd.mul(simd.widen_i8s(&low), scale), &mut halves[0]);
    simd.store(simd.mul(simd.widen_i8s(&high), scale), &mut halves[1]);
}

#[inline(always)]
fn q8_0<S: Simd>(simd: S, block: &[u8; 34], to: &mut [f32; 32]) {
    let scale = splat_half_at(simd, block, 0);
    for (i, to) in to.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let quants = simd.widen_i8s(sixteen(block, 2 + LANES * i));
        simd.store(simd.mul(quants, scale), to);
    }
}

/// Scale and minimum of group `i` of a Q4_K or Q5_K block: six bits each, packed into twelve bytes.
#[inline(always)]
fn group_scale(packed: &[u8], i: usize) -> (f32, f32) {
    let (scale, minimum) = if i < 4 {
        (packed[i] & 63, packed[i + 4] & 63)
    } else {
        ((packed[i + 4] & 15) | ((packed[i - 4] >> 6) << 4), (packed[i + 4] >> 4) | ((packed[i] >> 6) << 4))
    };
    (f32::from(scale), f32::from(minimum))
}

#[inline(always)]
fn q4k<S: Simd>(simd: S, block: &[u8; 144], to: &mut [f32; 256]) {
    let scale = half_at(simd, block, 0);
    let minimum = half_at(simd, block, 2);
    for (i, to) in to.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (group_scale, group_minimum) = group_scale(&block[4..16], i);
        let scales = simd.splat(scale * group_scale);
        let minima = simd.splat(-(minimum * group_minimum));
        for (j, to) in to.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let quants = sixteen(block, 16 + i / 2 * 32 + j * LANES);
            let quants = match i % 2 {
                0 => simd.widen_low_nibbles(quants),
                _ => simd.widen_high_nibbles(quants),
            };
            simd.store(simd.mul_add(quants, scales, minima), to);
        }
    }
}

#[inline(always)]
fn q5k<S: Simd>(simd: S, block: &[u8; 176], to: &mut [f32; 256]) {
    let scale = half_at(simd, block, 0);
    let minimum = half_at(simd, block, 2);
    for (i, to) in to.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (group_scale, group_minimum) = group_scale(&block[4..16], i);
        let scales = simd.splat(scale * group_scale);
        let minima = simd.splat(-(minimum * group_minimum));
        for (j, to) in to.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let fifth = sixteen(block, 16 + j * LANES);
            let quants = sixteen(block, 48 + i / 2 * 32 + j * LANES);
            let quants =
                std::array::from_fn(|l| ((quants[l] >> (i % 2 * 4)) & 15) | (((fifth[l] >> i) & 1) << 4));
            simd.store(simd.mul_add(simd.widen_i8s(&quants), scales, minima), to);
        }
    }
}

#[inline(always)]
fn q6k<S: Simd>(simd: S, block: &[u8; 210], to: &mut [f32; 256]) {
    let scale = half_at(simd, block, 208);
    for (i, to) in to.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        // Values 128 apart lie in the two halves of the block; a half has four runs of 32, a run two groups.
        let (half, run, group) = (i / 8, i / 2 % 4, i % 2);
        let lower = sixteen(block, half * 64 + run % 2 * 32 + group * LANES);
        let upper = sixteen(block, 128 + half * 32 + group * LANES);
        let quants = std::array::from_fn(|l| {
            let low = (lower[l] >> (run / 2 * 4)) & 15;
            let high = (upper[l] >> (run * 2)) & 3;
            (low | (high << 4)).wrapping_sub(32)
        });
        let group_scale = f32::from(block[192 + i] as i8);
        let scales = simd.splat(scale * group_scale);
        simd.store(simd.mul(simd.widen_i8s(&quants), scales), to);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{
        Device,
        quantized::{GgmlDType, QTensor},
    };

    use super::*;
    use crate::simd::{Isa, dispatch_on};

    fn values(len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 % 1013) as f32 / 506.5 - 1.0).powi(3)).collect()
    }

    /// Candle quantises; its decoder and ours must agree on every instruction set.
    fn check(dtype: WeightDtype, ggml: GgmlDType) {
        let tensor = candle_core::Tensor::from_vec(values(1024), (2, 512), &Device::Cpu).unwrap();
        let quantized = QTensor::quantize(&tensor, ggml).unwrap();
        let expected: Vec<f32> =
            quantized.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let bytes = quantized.data().unwrap();
        let mut portable = vec![0.0; 1024];
        dispatch_on(Isa::Portable, DecodeRow { dtype, row: &bytes, to: &mut portable });
        for (ours, theirs) in portable.iter().zip(&expected) {
            assert!((ours - theirs).abs() <= 1e-6 * theirs.abs().max(1e-2), "{dtype}: {ours} {theirs}");
        }
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
            let mut decoded = vec![0.0; 1024];
            dispatch_on(isa, DecodeRow { dtype, row: &bytes, to: &mut decoded });
            assert!(
                decoded.iter().map(|x| x.to_bits()).eq(portable.iter().map(|x| x.to_bits())),
                "{dtype} {isa}"
            );
        }
    }

    #[test]
    fn dense() {
        check(WeightDtype::F32, GgmlDType::F32);
        check(WeightDtype::F16, GgmlDType::F16);
        check(WeightDtype::Bf16, GgmlDType::BF16);
    }

    #[test]
    fn blocks_of_32() {
        check(WeightDtype::Q4_0, GgmlDType::Q4_0);
        check(WeightDtype::Q4_1, GgmlDType::Q4_1);
        check(WeightDtype::Q5_0, GgmlDType::Q5_0);
        check(WeightDtype::Q8_0, GgmlDType::Q8_0);
    }

    #[test]
    fn blocks_of_256() {
        check(WeightDtype::Q4K, GgmlDType::Q4K);
        check(WeightDtype::Q5K, GgmlDType::Q5K);
        check(WeightDtype::Q6K, GgmlDType::Q6K);
    }

    #[test]
    fn rows_need_not_fill_the_lanes() {
        let halves: Vec<u8> =
            values(19).iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect();
        let mut decoded = vec![0.0; 19];
        decode_row(WeightDtype::Bf16, &halves, &mut decoded);
        assert!(decoded.iter().zip(values(19)).all(|(a, b)| (a - b).abs() <= 0.005 * b.abs()));
    }
}
