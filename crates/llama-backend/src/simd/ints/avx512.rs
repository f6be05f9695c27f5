//! Sixteen whole numbers in one 512-bit register.

use std::arch::x86_64::*;

use super::{ByteLanes, Ints, LANE_BYTES, SixteenRows};
use crate::simd::{
    Kernel,
    avx512::{self, Avx512},
};

/// Wraps one intrinsic; the reason is the same for all of them.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: `self` is the proof that the CPU has AVX-512 with VNNI; array references are valid for their
        // length, and `SixteenRows::checked` has made sure of the bytes that are read.
        unsafe { $call }
    };
}

/// Sixteen bytes of four rows, each in a quarter of the register.
macro_rules! quarters {
    ($from:expr, $four_rows:expr) => {{
        let from: *const u8 = $from;
        let value = intrinsic!(_mm_loadu_si128(from.cast()));
        let value = intrinsic!(_mm512_castsi128_si512(value));
        let next = intrinsic!(_mm_loadu_si128(from.wrapping_add($four_rows).cast()));
        let value = intrinsic!(_mm512_inserti32x4::<1>(value, next));
        let next = intrinsic!(_mm_loadu_si128(from.wrapping_add(2 * $four_rows).cast()));
        let value = intrinsic!(_mm512_inserti32x4::<2>(value, next));
        let next = intrinsic!(_mm_loadu_si128(from.wrapping_add(3 * $four_rows).cast()));
        intrinsic!(_mm512_inserti32x4::<3>(value, next))
    }};
}

/// Four bytes of four rows, one after another.
macro_rules! fours {
    ($from:expr, $row_bytes:expr) => {{
        let from: *const u8 = $from;
        let a = intrinsic!(_mm_loadu_si32(from.cast()));
        let b = intrinsic!(_mm_loadu_si32(from.wrapping_add($row_bytes).cast()));
        let c = intrinsic!(_mm_loadu_si32(from.wrapping_add(2 * $row_bytes).cast()));
        let d = intrinsic!(_mm_loadu_si32(from.wrapping_add(3 * $row_bytes).cast()));
        let ab = intrinsic!(_mm_unpacklo_epi32(a, b));
        let cd = intrinsic!(_mm_unpacklo_epi32(c, d));
        intrinsic!(_mm_unpacklo_epi64(ab, cd))
    }};
}

impl Ints for Avx512 {
    type I32s = __m512i;

    #[inline(always)]
    fn splat_i32s(self, value: i32) -> __m512i {
        intrinsic!(_mm512_set1_epi32(value))
    }
    #[inline(always)]
    fn load_i32s(self, from: &[u8; LANE_BYTES]) -> __m512i {
        intrinsic!(_mm512_loadu_si512(from.as_ptr().cast()))
    }
    #[inline(always)]
    fn store_i32s(self, value: __m512i, to: &mut [u8; LANE_BYTES]) {
        intrinsic!(_mm512_storeu_si512(to.as_mut_ptr().cast(), value))
    }
    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(_mm512_and_si512(a, b))
    }
    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(_mm512_xor_si512(a, b))
    }
    #[inline(always)]
    fn shift(self, value: __m512i, left: i32) -> __m512i {
        let count = intrinsic!(_mm_cvtsi32_si128(left.abs()));
        match left < 0 {
            true => intrinsic!(_mm512_srl_epi32(value, count)),
            false => intrinsic!(_mm512_sll_epi32(value, count)),
        }
    }
}

impl ByteLanes for Avx512 {
    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        avx512::run(self, kernel)
    }
    /// Sixteen loads, which together take less time than the gather instruction.
    #[inline(always)]
    fn gather(self, rows: SixteenRows<'_>, at: usize) -> __m512i {
        let from = rows.checked::<4>(at).as_ptr().wrapping_add(at);
        let row_bytes = rows.row_bytes;
        let first = fours!(from, row_bytes);
        let value = intrinsic!(_mm512_castsi128_si512(first));
        let next = fours!(from.wrapping_add(4 * row_bytes), row_bytes);
        let value = intrinsic!(_mm512_inserti32x4::<1>(value, next));
        let next = fours!(from.wrapping_add(8 * row_bytes), row_bytes);
        let value = intrinsic!(_mm512_inserti32x4::<2>(value, next));
        let next = fours!(from.wrapping_add(12 * row_bytes), row_bytes);
        intrinsic!(_mm512_inserti32x4::<3>(value, next))
    }
    /// A four by four transposition in each quarter, so quarter `j` takes rows `4 j..4 j + 4`.
    #[inline(always)]
    fn transpose(self, rows: SixteenRows<'_>, at: usize) -> [__m512i; 4] {
        let from = rows.checked::<16>(at).as_ptr().wrapping_add(at);
        let row_bytes = rows.row_bytes;
        let row_0 = quarters!(from, 4 * row_bytes);
        let row_1 = quarters!(from.wrapping_add(row_bytes), 4 * row_bytes);
        let row_2 = quarters!(from.wrapping_add(2 * row_bytes), 4 * row_bytes);
        let row_3 = quarters!(from.wrapping_add(3 * row_bytes), 4 * row_bytes);
        let low_01 = intrinsic!(_mm512_unpacklo_epi32(row_0, row_1));
        let high_01 = intrinsic!(_mm512_unpackhi_epi32(row_0, row_1));
        let low_23 = intrinsic!(_mm512_unpacklo_epi32(row_2, row_3));
        let high_23 = intrinsic!(_mm512_unpackhi_epi32(row_2, row_3));
        [
            intrinsic!(_mm512_unpacklo_epi64(low_01, low_23)),
            intrinsic!(_mm512_unpackhi_epi64(low_01, low_23)),
            intrinsic!(_mm512_unpacklo_epi64(high_01, high_23)),
            intrinsic!(_mm512_unpackhi_epi64(high_01, high_23)),
        ]
    }
    #[inline(always)]
    fn dot(self, sums: __m512i, unsigned: __m512i, signed: __m512i) -> __m512i {
        intrinsic!(_mm512_dpbusd_epi32(sums, unsigned, signed))
    }
    #[inline(always)]
    fn to_f32s(self, value: __m512i) -> Self::F32s {
        intrinsic!(_mm512_cvtepi32_ps(value))
    }
    #[inline(always)]
    fn halves_to_f32s(self, value: __m512i) -> Self::F32s {
        let halves = intrinsic!(_mm512_cvtepi32_epi16(value));
        intrinsic!(_mm512_cvtph_ps(halves))
    }
    #[inline(always)]
    fn dot_wide(self, sums: __m512i, unsigned: __m512i, signed: __m512i) -> __m512i {
        self.dot(sums, unsigned, signed)
    }
    #[inline(always)]
    fn prefetch(self, bytes: &[u8]) {
        for line in (0..bytes.len()).step_by(64) {
            let line = bytes.as_ptr().wrapping_add(line);
            intrinsic!(_mm_prefetch::<_MM_HINT_T1>(line.cast()));
        }
    }
}
