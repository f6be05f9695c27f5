//! Sixteen lanes in four 128-bit registers: `[lanes 0..4, 4..8, 8..12, 12..16]`.

use std::arch::aarch64::*;

use half::f16;

use super::{LANES, Simd};

/// NEON, which every 64-bit ARM CPU has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neon;

/// Wraps one intrinsic; the reason is the same for all of them.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: every aarch64 CPU has NEON, and slices are valid for the four lanes that are touched.
        unsafe { $call }
    };
}

/// Does the same to each register. A closure would not be compiled with the instruction set, nor be inlined.
macro_rules! each {
    ($x:ident in $values:expr => $body:expr) => {{
        let values = $values;
        [
            {
                let $x = values[0];
                $body
            },
            {
                let $x = values[1];
                $body
            },
            {
                let $x = values[2];
                $body
            },
            {
                let $x = values[3];
                $body
            },
        ]
    }};
}

impl Neon {
    /// Widens four groups of four values that `lane` computes.
    #[inline(always)]
    fn lanes_by(self, lane: impl Fn(usize) -> f32) -> [float32x4_t; 4] {
        self.load(&std::array::from_fn(lane))
    }
}

impl Simd for Neon {
    type F32s = [float32x4_t; 4];
    const HAS_WIDE_REGISTERS: bool = false;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32s {
        [intrinsic!(vdupq_n_f32(value)); 4]
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F32s {
        each!(at in [0, 4, 8, 12] => intrinsic!(vld1q_f32(from[at..at + 4].as_ptr())))
    }
    #[inline(always)]
    fn store(self, value: Self::F32s, to: &mut [f32; LANES]) {
        for (quarter, value) in to.chunks_exact_mut(4).zip(value) {
            intrinsic!(vst1q_f32(quarter.as_mut_ptr(), value));
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F32s, b: Self::F32s) -> Self::F32s {
        each!(i in [0, 1, 2, 3] => intrinsic!(vaddq_f32(a[i], b[i])))
    }
    #[inline(always)]
    fn mul(self, a: Self::F32s, b: Self::F32s) -> Self::F32s {
        each!(i in [0, 1, 2, 3] => intrinsic!(vmulq_f32(a[i], b[i])))
    }
    #[inline(always)]
    fn div(self, a: Self::F32s, b: Self::F32s) -> Self::F32s {
        each!(i in [0, 1, 2, 3] => intrinsic!(vdivq_f32(a[i], b[i])))
    }
    #[inline(always)]
    fn max(self, a: Self::F32s, b: Self::F32s) -> Self::F32s {
        each!(i in [0, 1, 2, 3] => {
            let greater = intrinsic!(vcgtq_f32(a[i], b[i]));
            intrinsic!(vbslq_f32(greater, a[i], b[i]))
        })
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F32s, b: Self::F32s, c: Self::F32s) -> Self::F32s {
        each!(i in [0, 1, 2, 3] => intrinsic!(vfmaq_f32(c[i], a[i], b[i])))
    }
    #[inline(always)]
    fn round(self, value: Self::F32s) -> Self::F32s {
        each!(v in value => intrinsic!(vrndnq_f32(v)))
    }
    #[inline(always)]
    fn pow2(self, n: Self::F32s) -> Self::F32s {
        each!(n in n => {
            let whole = intrinsic!(vcvtq_s32_f32(n));
            let bias = intrinsic!(vdupq_n_s32(127));
            let biased = intrinsic!(vaddq_s32(whole, bias));
            let exponent = intrinsic!(vshlq_n_s32::<23>(biased));
            intrinsic!(vreinterpretq_f32_s32(exponent))
        })
    }
    #[inline(always)]
    fn sum(self, value: Self::F32s) -> f32 {
        let low = intrinsic!(vaddq_f32(value[0], value[2]));
        let high = intrinsic!(vaddq_f32(value[1], value[3]));
        let four = intrinsic!(vaddq_f32(low, high));
        let upper = intrinsic!(vget_high_f32(four));
        let lower = intrinsic!(vget_low_f32(four));
        let two = intrinsic!(vadd_f32(lower, upper));
        let first = intrinsic!(vget_lane_f32::<0>(two));
        first + intrinsic!(vget_lane_f32::<1>(two))
    }
    #[inline(always)]
    fn widen_f16(self, bits: u16) -> f32 {
        f16::from_bits(bits).to_f32()
    }
    #[inline(always)]
    fn widen_f16s(self, from: &[u8; 2 * LANES]) -> Self::F32s {
        self.lanes_by(|i| f16::from_le_bytes([from[2 * i], from[2 * i + 1]]).to_f32())
    }
    #[inline(always)]
    fn widen_bf16s(self, from: &[u8; 2 * LANES]) -> Self::F32s {
        self.lanes_by(|i| f32::from_bits(u32::from(u16::from_le_bytes([from[2 * i], from[2 * i + 1]])) << 16))
    }
    #[inline(always)]
    fn widen_i8s(self, from: &[u8; LANES]) -> Self::F32s {
        self.lanes_by(|i| f32::from(from[i] as i8))
    }
    #[inline(always)]
    fn widen_low_nibbles(self, from: &[u8; LANES]) -> Self::F32s {
        self.lanes_by(|i| f32::from(from[i] & 15))
    }
    #[inline(always)]
    fn widen_high_nibbles(self, from: &[u8; LANES]) -> Self::F32s {
        self.lanes_by(|i| f32::from(from[i] >> 4))
    }
}
