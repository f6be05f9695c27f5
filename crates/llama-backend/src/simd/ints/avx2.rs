//! Sixteen whole numbers in two 256-bit registers: `[lanes 0..8, lanes 8..16]`.

use std::arch::x86_64::*;

use super::{ByteLanes, Ints, LANE_BYTES, LANES, SixteenRows};
use crate::simd::{
    Kernel,
    avx2::{self, Avx2},
};

/// Wraps one intrinsic; the reason is the same for all of them.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: `self` is the proof that the CPU has AVX2 and F16C; array references are valid for their length,
        // in halves too, and `SixteenRows::checked` has made sure of the bytes that are read.
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
        ]
    };
}

/// Sixteen bytes of two rows, each in a half of the register.
macro_rules! halves {
    ($from:expr, $four_rows:expr) => {{
        let from: *const u8 = $from;
        let value = intrinsic!(_mm_loadu_si128(from.cast()));
        let value = intrinsic!(_mm256_castsi128_si256(value));
        let next = intrinsic!(_mm_loadu_si128(from.wrapping_add($four_rows).cast()));
        intrinsic!(_mm256_inserti128_si256::<1>(value, next))
    }};
}

impl Avx2 {
    /// Eight rows from `from` on: a four by four transposition in each half, which takes four rows.
    #[inline(always)]
    fn transpose_eight(self, from: *const u8, row_bytes: usize) -> [__m256i; 4] {
        let row_0 = halves!(from, 4 * row_bytes);
        let row_1 = halves!(from.wrapping_add(row_bytes), 4 * row_bytes);
        let row_2 = halves!(from.wrapping_add(2 * row_bytes), 4 * row_bytes);
        let row_3 = halves!(from.wrapping_add(3 * row_bytes), 4 * row_bytes);
        let low_01 = intrinsic!(_mm256_unpacklo_epi32(row_0, row_1));
        let high_01 = intrinsic!(_mm256_unpackhi_epi32(row_0, row_1));
        let low_23 = intrinsic!(_mm256_unpacklo_epi32(row_2, row_3));
        let high_23 = intrinsic!(_mm256_unpackhi_epi32(row_2, row_3));
        [
            intrinsic!(_mm256_unpacklo_epi64(low_01, low_23)),
            intrinsic!(_mm256_unpackhi_epi64(low_01, low_23)),
            intrinsic!(_mm256_unpacklo_epi64(high_01, high_23)),
            intrinsic!(_mm256_unpackhi_epi64(high_01, high_23)),
        ]
    }
}

impl Ints for Avx2 {
    type I32s = [__m256i; 2];

    #[inline(always)]
    fn splat_i32s(self, value: i32) -> Self::I32s {
        [intrinsic!(_mm256_set1_epi32(value)); 2]
    }
    #[inline(always)]
    fn load_i32s(self, from: &[u8; LANE_BYTES]) -> Self::I32s {
        each!(i => intrinsic!(_mm256_loadu_si256(from[32 * i..32 * i + 32].as_ptr().cast())))
    }
    #[inline(always)]
    fn store_i32s(self, value: Self::I32s, to: &mut [u8; LANE_BYTES]) {
        intrinsic!(_mm256_storeu_si256(to[..32].as_mut_ptr().cast(), value[0]));
        intrinsic!(_mm256_storeu_si256(to[32..].as_mut_ptr().cast(), value[1]));
    }
    #[inline(always)]
    fn and(self, a: Self::I32s, b: Self::I32s) -> Self::I32s {
        each!(i => intrinsic!(_mm256_and_si256(a[i], b[i])))
    }
    #[inline(always)]
    fn xor(self, a: Self::I32s, b: Self::I32s) -> Self::I32s {
        each!(i => intrinsic!(_mm256_xor_si256(a[i], b[i])))
    }
    #[inline(always)]
    fn shift(self, value: Self::I32s, left: i32) -> Self::I32s {
        let count = intrinsic!(_mm_cvtsi32_si128(left.abs()));
        match left < 0 {
            true => each!(i => intrinsic!(_mm256_srl_epi32(value[i], count))),
            false => each!(i => intrinsic!(_mm256_sll_epi32(value[i], count))),
        }
    }
}

impl ByteLanes for Avx2 {
    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        avx2::run(self, kernel)
    }
    /// Sixteen loads: a gather instruction is slower where its microcode was patched.
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
        let from = rows.checked::<16>(at).as_ptr().wrapping_add(at);
        let low = self.transpose_eight(from, rows.row_bytes);
        let high = self.transpose_eight(from.wrapping_add(8 * rows.row_bytes), rows.row_bytes);
        [[low[0], high[0]], [low[1], high[1]], [low[2], high[2]], [low[3], high[3]]]
    }
    /// Two products of 127 and -128 add up to -32,512: no pair saturates.
    #[inline(always)]
    fn dot(self, sums: Self::I32s, unsigned: Self::I32s, signed: Self::I32s) -> Self::I32s {
        let ones = intrinsic!(_mm256_set1_epi16(1));
        each!(i => {
            let pairs = intrinsic!(_mm256_maddubs_epi16(unsigned[i], signed[i]));
            let fours = intrinsic!(_mm256_madd_epi16(pairs, ones));
            intrinsic!(_mm256_add_epi32(sums[i], fours))
        })
    }
    #[inline(always)]
    fn to_f32s(self, value: Self::I32s) -> Self::F32s {
        each!(i => intrinsic!(_mm256_cvtepi32_ps(value[i])))
    }
    #[inline(always)]
    fn halves_to_f32s(self, value: Self::I32s) -> Self::F32s {
        let lower = self.and(value, self.splat_i32s(0xffff));
        let mixed = intrinsic!(_mm256_packus_epi32(lower[0], lower[1]));
        let halves = intrinsic!(_mm256_permute4x64_epi64::<0b11_01_10_00>(mixed));
        let low = intrinsic!(_mm256_castsi256_si128(halves));
        let high = intrinsic!(_mm256_extracti128_si256::<1>(halves));
        [intrinsic!(_mm256_cvtph_ps(low)), intrinsic!(_mm256_cvtph_ps(high))]
    }
    #[inline(always)]
    fn prefetch(self, bytes: &[u8]) {
        for line in (0..bytes.len()).step_by(64) {
            let line = bytes.as_ptr().wrapping_add(line);
            intrinsic!(_mm_prefetch::<_MM_HINT_T1>(line.cast()));
        }
    }
}
