//! Sixteen whole numbers in four 128-bit registers: `[lanes 0..4, 4..8, 8..12, 12..16]`.

use std::arch::aarch64::*;

use half::f16;

use super::{ByteLanes, Ints, LANE_BYTES, LANES, SixteenRows};
use crate::simd::{Kernel, Simd, neon::Neon};

/// Wraps one intrinsic; the reason is the same for all of them.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: every aarch64 CPU has NEON; slices are valid for the four lanes that are touched.
        unsafe { $call }
    };
}

/// Does the same to each register. A closure would not be compiled with the instruction set, nor be inlined.
macro_rules! each {
    ($i:ident => $body:expr) => {
        [
            {
                let $i = 0;
                $body
            },
            {
                let $i = 1;
                $body
            },
            {
                let $i = 2;
                $body
            },
            {
                let $i = 3;
                $body
            },
        ]
    };
}

impl Neon {
    /// Sixteen bytes at `at` of row `row_idx`, which `SixteenRows::checked` has seen.
    #[inline(always)]
    fn row(self, bytes: &[u8], at: usize) -> uint32x4_t {
        let sixteen = &bytes[at..at + 16];
        let bytes = intrinsic!(vld1q_u8(sixteen.as_ptr()));
        intrinsic!(vreinterpretq_u32_u8(bytes))
    }

    /// Four rows from `at` on, `row_bytes` apart.
    #[inline(always)]
    fn transpose_four(self, bytes: &[u8], at: usize, row_bytes: usize) -> [uint32x4_t; 4] {
        let row_0 = self.row(bytes, at);
        let row_1 = self.row(bytes, at + row_bytes);
        let row_2 = self.row(bytes, at + 2 * row_bytes);
        let row_3 = self.row(bytes, at + 3 * row_bytes);
        let low_02 = intrinsic!(vzip1q_u32(row_0, row_2));
        let high_02 = intrinsic!(vzip2q_u32(row_0, row_2));
        let low_13 = intrinsic!(vzip1q_u32(row_1, row_3));
        let high_13 = intrinsic!(vzip2q_u32(row_1, row_3));
        [
            intrinsic!(vzip1q_u32(low_02, low_13)),
            intrinsic!(vzip2q_u32(low_02, low_13)),
            intrinsic!(vzip1q_u32(high_02, high_13)),
            intrinsic!(vzip2q_u32(high_02, high_13)),
        ]
    }
}

impl Ints for Neon {
    type I32s = [uint32x4_t; 4];

    #[inline(always)]
    fn splat_i32s(self, value: i32) -> Self::I32s {
        [intrinsic!(vdupq_n_u32(value as u32)); 4]
    }
    #[inline(always)]
    fn load_i32s(self, from: &[u8; LANE_BYTES]) -> Self::I32s {
        each!(i => self.row(from, 16 * i))
    }
    #[inline(always)]
    fn store_i32s(self, value: Self::I32s, to: &mut [u8; LANE_BYTES]) {
        for (i, to) in to.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let bytes = intrinsic!(vreinterpretq_u8_u32(value[i]));
            intrinsic!(vst1q_u8(to.as_mut_ptr(), bytes));
        }
    }
    #[inline(always)]
    fn and(self, a: Self::I32s, b: Self::I32s) -> Self::I32s {
        each!(i => intrinsic!(vandq_u32(a[i], b[i])))
    }
    #[inline(always)]
    fn xor(self, a: Self::I32s, b: Self::I32s) -> Self::I32s {
        each!(i => intrinsic!(veorq_u32(a[i], b[i])))
    }
    #[inline(always)]
    fn shift(self, value: Self::I32s, left: i32) -> Self::I32s {
        let count = intrinsic!(vdupq_n_s32(left));
        each!(i => intrinsic!(vshlq_u32(value[i], count)))
    }
}

impl ByteLanes for Neon {
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    #[inline(always)]
    fn gather(self, rows: SixteenRows<'_>, at: usize) -> Self::I32s {
        let bytes = rows.checked::<4>(at);
        let mut lanes = [0; LANE_BYTES];
        for i in 0..LANES {
            let from = i * rows.row_bytes + at;
            lanes[4 * i..4 * i + 4].copy_from_slice(&bytes[from..from + 4]);
        }
        self.load_i32s(&lanes)
    }
    #[inline(always)]
    fn transpose(self, rows: SixteenRows<'_>, at: usize) -> [Self::I32s; 4] {
        let bytes = rows.checked::<16>(at);
        let fours = each!(i => self.transpose_four(bytes, 4 * i * rows.row_bytes + at, rows.row_bytes));
        each!(part => [fours[0][part], fours[1][part], fours[2][part], fours[3][part]])
    }
    /// Bytes up to 127 are the same with a sign, so both sides multiply as signed ones.
    #[inline(always)]
    fn dot(self, sums: Self::I32s, unsigned: Self::I32s, signed: Self::I32s) -> Self::I32s {
        each!(i => {
            let a = intrinsic!(vreinterpretq_s8_u32(unsigned[i]));
            let b = intrinsic!(vreinterpretq_s8_u32(signed[i]));
            let low_a = intrinsic!(vget_low_s8(a));
            let low_b = intrinsic!(vget_low_s8(b));
            let low = intrinsic!(vmull_s8(low_a, low_b));
            let high = intrinsic!(vmull_high_s8(a, b));
            let low = intrinsic!(vpaddlq_s16(low));
            let high = intrinsic!(vpaddlq_s16(high));
            let fours = intrinsic!(vpaddq_s32(low, high));
            let fours = intrinsic!(vreinterpretq_u32_s32(fours));
            intrinsic!(vaddq_u32(sums[i], fours))
        })
    }
    #[inline(always)]
    fn to_f32s(self, value: Self::I32s) -> Self::F32s {
        each!(i => {
            let whole = intrinsic!(vreinterpretq_s32_u32(value[i]));
            intrinsic!(vcvtq_f32_s32(whole))
        })
    }
    #[inline(always)]
    fn halves_to_f32s(self, value: Self::I32s) -> Self::F32s {
        let mut bytes = [0; LANE_BYTES];
        self.store_i32s(value, &mut bytes);
        let mut floats = [0.0; LANES];
        for i in 0..LANES {
            floats[i] = f16::from_le_bytes([bytes[4 * i], bytes[4 * i + 1]]).to_f32();
        }
        self.load(&floats)
    }
}
