//! The formats with groups in blocks of 256 values, whose scales are themselves numbers times a scale of the block.

use super::fit::{Affine, Group, Offset, half_at_least, inverse_of};
use crate::simd::{LANES, Simd};

const GROUP_LEN: usize = 32;
const NUM_GROUPS: usize = 8;
const MAX_GROUP_SCALE: f32 = 63.0; // six bits

#[inline(always)]
pub(super) fn q4k<S: Simd>(simd: S, values: &[f32; 256], block: &mut [u8; 144]) {
    block.fill(0);
    let numbers = affine_groups(simd, values, 15.0, &mut block[..16]);
    for i in 0..NUM_GROUPS {
        for j in 0..GROUP_LEN {
            block[16 + i / 2 * GROUP_LEN + j] |= numbers[i][j] << (i % 2 * 4);
        }
    }
}

#[inline(always)]
pub(super) fn q5k<S: Simd>(simd: S, values: &[f32; 256], block: &mut [u8; 176]) {
    block.fill(0);
    let numbers = affine_groups(simd, values, 31.0, &mut block[..16]);
    for i in 0..NUM_GROUPS {
        for j in 0..GROUP_LEN {
            block[16 + j] |= (numbers[i][j] >> 4) << i;
            block[48 + i / 2 * GROUP_LEN + j] |= (numbers[i][j] & 15) << (i % 2 * 4);
        }
    }
}

/// Fits eight groups, writes their scales and offsets into `header`, and returns the numbers from 0 to `levels`.
#[inline(always)]
fn affine_groups<S: Simd>(
    simd: S,
    values: &[f32; 256],
    levels: f32,
    header: &mut [u8],
) -> [[u8; GROUP_LEN]; NUM_GROUPS] {
    let (groups, _) = values.as_chunks::<GROUP_LEN>();
    let mut fits = [Affine { scale: 0.0, offset: 0.0 }; NUM_GROUPS];
    let (mut max_scale, mut max_minimum) = (0f32, 0f32);
    for i in 0..NUM_GROUPS {
        fits[i] = Group::<S, 2>::new(simd, &groups[i]).fit_affine(levels, Offset::NotPositive);
        max_scale = max_scale.max(fits[i].scale);
        max_minimum = max_minimum.max(-fits[i].offset);
    }
    let scale = half_at_least(max_scale / MAX_GROUP_SCALE);
    let minimum = half_at_least(max_minimum / MAX_GROUP_SCALE);
    header[..2].copy_from_slice(&scale.to_le_bytes());
    header[2..4].copy_from_slice(&minimum.to_le_bytes());
    let (scale, minimum) = (scale.to_f32(), minimum.to_f32());
    let mut numbers = [[0; GROUP_LEN]; NUM_GROUPS];
    for i in 0..NUM_GROUPS {
        let group_scale = whole(fits[i].scale * inverse_of(scale), (0.0, MAX_GROUP_SCALE));
        let group_minimum = whole(-fits[i].offset * inverse_of(minimum), (0.0, MAX_GROUP_SCALE));
        pack_group_scale(&mut header[4..16], i, (group_scale as u8, group_minimum as u8));
        let inverse = inverse_of(scale * group_scale);
        let mut found = [0.0; GROUP_LEN];
        let group = Group::<S, 2>::new(simd, &groups[i]);
        group.numbers(inverse, minimum * group_minimum * inverse, (0.0, levels), &mut found);
        numbers[i] = found.map(|number| number as u8);
    }
    numbers
}

#[inline(always)]
pub(super) fn q6k<S: Simd>(simd: S, values: &[f32; 256], block: &mut [u8; 210]) {
    const NUM_GROUPS: usize = 16;
    const MAX_GROUP_SCALE: f32 = 127.0; // eight bits with a sign
    let (groups, _) = values.as_chunks::<LANES>();
    let mut scales = [0.0; NUM_GROUPS];
    let mut max_scale = 0f32;
    for i in 0..NUM_GROUPS {
        scales[i] = Group::<S, 1>::new(simd, &groups[i]).fit_signed(32.0);
        max_scale = max_scale.max(scales[i].abs());
    }
    let scale = half_at_least(max_scale / MAX_GROUP_SCALE);
    block.fill(0);
    block[208..].copy_from_slice(&scale.to_le_bytes());
    let scale = scale.to_f32();
    for i in 0..NUM_GROUPS {
        let group_scale = whole(scales[i] * inverse_of(scale), (-MAX_GROUP_SCALE, MAX_GROUP_SCALE));
        block[192 + i] = group_scale as i8 as u8;
        let mut numbers = [0.0; LANES];
        let group = Group::<S, 1>::new(simd, &groups[i]);
        group.numbers(inverse_of(scale * group_scale), 32.0, (0.0, 63.0), &mut numbers);
        // As `decode.rs` reads them: two halves of four runs of two groups.
        let (half, run, group_of_run) = (i / 8, i / 2 % 4, i % 2);
        for (j, number) in numbers.into_iter().enumerate() {
            let number = number as u8;
            let at = group_of_run * LANES + j;
            block[half * 64 + run % 2 * 32 + at] |= (number & 15) << (run / 2 * 4);
            block[128 + half * 32 + at] |= (number >> 4) << (run * 2);
        }
    }
}

/// Writes scale and minimum of group `i`, six bits each, into twelve bytes that were zero.
#[inline(always)]
fn pack_group_scale(packed: &mut [u8], i: usize, (scale, minimum): (u8, u8)) {
    if i < 4 {
        packed[i] |= scale;
        packed[i + 4] |= minimum;
    } else {
        packed[i + 4] = (scale & 15) | ((minimum & 15) << 4);
        packed[i - 4] |= (scale >> 4) << 6;
        packed[i] |= (minimum >> 4) << 6;
    }
}

#[inline(always)]
fn whole(value: f32, (low, high): (f32, f32)) -> f32 {
    value.round_ties_even().max(low).min(high)
}
