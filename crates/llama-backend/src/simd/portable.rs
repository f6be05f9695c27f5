//! Sixteen lanes as a plain array: the definition that the other instruction sets must match bit for bit.

use half::{bf16, f16};

use super::{LANES, Simd};

/// No vector instructions assumed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

fn map(f: impl Fn(usize) -> f32) -> [f32; LANES] {
    std::array::from_fn(f)
}

impl Simd for Portable {
    type F32s = [f32; LANES];
    const HAS_WIDE_REGISTERS: bool = false;

    fn splat(self, value: f32) -> Self::F32s {
        [value; LANES]
    }
    fn load(self, from: &[f32; LANES]) -> Self::F32s {
        *from
    }
    fn store(self, value: Self::F32s, to: &mut [f32; LANES]) {
        *to = value;
    }
    fn add(self, a: Self::F32s, b: Self::F32s) -> Self::F32s {
        map(|i| a[i] + b[i])
    }
    fn mul(self, a: Self::F32s, b: Self::F32s) -> Self::F32s {
        map(|i| a[i] * b[i])
    }
    fn div(self, a: Self::F32s, b: Self::F32s) -> Self::F32s {
        map(|i| a[i] / b[i])
    }
    fn max(self, a: Self::F32s, b: Self::F32s) -> Self::F32s {
        map(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    fn mul_add(self, a: Self::F32s, b: Self::F32s, c: Self::F32s) -> Self::F32s {
        map(|i| a[i].mul_add(b[i], c[i]))
    }
    fn round(self, value: Self::F32s) -> Self::F32s {
        map(|i| value[i].round_ties_even())
    }
    fn pow2(self, n: Self::F32s) -> Self::F32s {
        map(|i| f32::from_bits(((n[i] as i32 + 127) as u32) << 23))
    }
    fn sum(self, value: Self::F32s) -> f32 {
        let mut lanes = value;
        for width in [8, 4, 2, 1] {
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
        }
        lanes[0]
    }
    fn widen_f16(self, bits: u16) -> f32 {
        f16::from_bits(bits).to_f32()
    }
    fn widen_f16s(self, from: &[u8; 2 * LANES]) -> Self::F32s {
        map(|i| f16::from_le_bytes([from[2 * i], from[2 * i + 1]]).to_f32())
    }
    fn widen_bf16s(self, from: &[u8; 2 * LANES]) -> Self::F32s {
        map(|i| bf16::from_le_bytes([from[2 * i], from[2 * i + 1]]).to_f32())
    }
    fn widen_i8s(self, from: &[u8; LANES]) -> Self::F32s {
        map(|i| f32::from(from[i] as i8))
    }
    fn widen_low_nibbles(self, from: &[u8; LANES]) -> Self::F32s {
        map(|i| f32::from(from[i] & 15))
    }
    fn widen_high_nibbles(self, from: &[u8; LANES]) -> Self::F32s {
        map(|i| f32::from(from[i] >> 4))
    }
}
