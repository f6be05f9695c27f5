//! The formats with one scale for 32 values.

use half::f16;

use super::fit::{Group, Offset, half_at_least, inverse_of};
use crate::simd::Simd;

#[inline(always)]
pub(super) fn q8_0<S: Simd>(simd: S, values: &[f32; 32], block: &mut [u8; 34]) {
    let group = Group::<S, 2>::new(simd, values);
    let (low, high) = group.extremes();
    let scale = half_at_least(high.max(-low) / 127.0);
    let mut numbers = [0.0; 32];
    group.numbers(inverse_of(scale.to_f32()), 0.0, (-127.0, 127.0), &mut numbers);
    block[..2].copy_from_slice(&scale.to_le_bytes());
    for (to, number) in block[2..].iter_mut().zip(numbers) {
        *to = number as i8 as u8;
    }
}

#[inline(always)]
pub(super) fn q4_0<S: Simd>(simd: S, values: &[f32; 32], block: &mut [u8; 18]) {
    let (scale, numbers) = signed(simd, values, 8.0);
    block[..2].copy_from_slice(&scale.to_le_bytes());
    pack_nibbles(&numbers, &mut block[2..]);
}

#[inline(always)]
pub(super) fn q4_1<S: Simd>(simd: S, values: &[f32; 32], block: &mut [u8; 20]) {
    let group = Group::<S, 2>::new(simd, values);
    let fit = group.fit_affine(15.0, Offset::Free);
    let (scale, offset) = (f16::from_f32(fit.scale), f16::from_f32(fit.offset));
    let inverse = inverse_of(scale.to_f32());
    let mut numbers = [0.0; 32];
    group.numbers(inverse, -offset.to_f32() * inverse, (0.0, 15.0), &mut numbers);
    block[..2].copy_from_slice(&scale.to_le_bytes());
    block[2..4].copy_from_slice(&offset.to_le_bytes());
    pack_nibbles(&numbers.map(|number| number as u8), &mut block[4..]);
}

#[inline(always)]
pub(super) fn q5_0<S: Simd>(simd: S, values: &[f32; 32], block: &mut [u8; 22]) {
    let (scale, numbers) = signed(simd, values, 16.0);
    let mut fifth = 0u32;
    for (i, number) in numbers.iter().enumerate() {
        fifth |= u32::from(number >> 4) << i;
    }
    block[..2].copy_from_slice(&scale.to_le_bytes());
    block[2..6].copy_from_slice(&fifth.to_le_bytes());
    pack_nibbles(&numbers, &mut block[6..]);
}

/// Scale, and numbers counted from `-levels`.
#[inline(always)]
fn signed<S: Simd>(simd: S, values: &[f32; 32], levels: f32) -> (f16, [u8; 32]) {
    let group = Group::<S, 2>::new(simd, values);
    let scale = f16::from_f32(group.fit_signed(levels));
    let mut numbers = [0.0; 32];
    group.numbers(inverse_of(scale.to_f32()), levels, (0.0, 2.0 * levels - 1.0), &mut numbers);
    (scale, numbers.map(|number| number as u8))
}

/// The lower four bits of each: the first half of the values in the lower nibbles, the second in the upper.
#[inline(always)]
fn pack_nibbles(numbers: &[u8; 32], to: &mut [u8]) {
    for i in 0..16 {
        to[i] = (numbers[i] & 15) | (numbers[i + 16] << 4);
    }
}
