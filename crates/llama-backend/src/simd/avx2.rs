//! Sixteen lanes in two 256-bit registers: `[lanes 0..8, lanes 8..16]`.

use std::arch::x86_64::*;

use super::{Kernel, LANES, Simd};

/// Wraps one intrinsic; the reason is the same for all of them.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: `self` is the proof that the CPU has AVX2, FMA and F16C, and array references are valid for
        // their length, in halves too.
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
        ]
    }};
}

/// Proof that the CPU has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }

    #[inline(always)]
    fn widen_u8(self, from: &[u8; LANES]) -> [__m256i; 2] {
        let bytes = intrinsic!(_mm_loadu_si128(from.as_ptr().cast()));
        let high = intrinsic!(_mm_unpackhi_epi64(bytes, bytes));
        [intrinsic!(_mm256_cvtepu8_epi32(bytes)), intrinsic!(_mm256_cvtepu8_epi32(high))]
    }
}

/// Compiles a kernel for AVX2.
pub(super) fn run<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    #[inline(never)]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn compiled<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
        kernel.run(simd)
    }
    // SAFETY: `simd` is the proof that the CPU has these instructions.
    unsafe { compiled(simd, kernel) }
}

impl Simd for Avx2 {
    type F32s = [__m256; 2];
    const HAS_WIDE_REGISTERS: bool = false;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32s {
        [intrinsic!(_mm256_set1_ps(value)); 2]
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F32s {
        [intrinsic!(_mm256_loadu_ps(from[..8].as_ptr())), intrinsic!(_mm256_loadu_ps(from[8..].as_ptr()))]
    }
    #[inline(always)]
    fn store(self, value: Self::F32s, to: &mut [f32; LANES]) {
        intrinsic!(_mm256_storeu_ps(to[..8].as_mut_ptr(), value[0]));
        intrinsic!(_mm256_storeu_ps(to[8..].as_mut_ptr(), value[1]));
    }
    #[inline(always)]
    fn add(self, a: Self::F32s, b: Self::F32s) -> Self::F32s {
        [intrinsic!(_mm256_add_ps(a[0], b[0])), intrinsic!(_mm256_add_ps(a[1], b[1]))]
    }
    #[inline(always)]
    fn mul(self, a: Self::F32s, b: Self::F32s) -> Self::F32s {
        [intrinsic!(_mm256_mul_ps(a[0], b[0])), intrinsic!(_mm256_mul_ps(a[1], b[1]))]
    }
    #[inline(always)]
    fn div(self, a: Self::F32s, b: Self::F32s) -> Self::F32s {
        [intrinsic!(_mm256_div_ps(a[0], b[0])), intrinsic!(_mm256_div_ps(a[1], b[1]))]
    }
    #[inline(always)]
    fn max(self, a: Self::F32s, b: Self::F32s) -> Self::F32s {
        [intrinsic!(_mm256_max_ps(a[0], b[0])), intrinsic!(_mm256_max_ps(a[1], b[1]))]
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F32s, b: Self::F32s, c: Self::F32s) -> Self::F32s {
        [intrinsic!(_mm256_fmadd_ps(a[0], b[0], c[0])), intrinsic!(_mm256_fmadd_ps(a[1], b[1], c[1]))]
    }
    #[inline(always)]
    fn round(self, value: Self::F32s) -> Self::F32s {
        each!(v in value => intrinsic!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v)))
    }
    #[inline(always)]
    fn pow2(self, n: Self::F32s) -> Self::F32s {
        each!(n in n => {
            let whole = intrinsic!(_mm256_cvtps_epi32(n));
            let bias = intrinsic!(_mm256_set1_epi32(127));
            let biased = intrinsic!(_mm256_add_epi32(whole, bias));
            let exponent = intrinsic!(_mm256_slli_epi32::<23>(biased));
            intrinsic!(_mm256_castsi256_ps(exponent))
        })
    }
    #[inline(always)]
    fn sum(self, value: Self::F32s) -> f32 {
        let eight = intrinsic!(_mm256_add_ps(value[0], value[1]));
        let low = intrinsic!(_mm256_castps256_ps128(eight));
        let high = intrinsic!(_mm256_extractf128_ps::<1>(eight));
        let four = intrinsic!(_mm_add_ps(low, high));
        let high = intrinsic!(_mm_movehl_ps(four, four));
        let two = intrinsic!(_mm_add_ps(four, high));
        let high = intrinsic!(_mm_movehdup_ps(two));
        let one = intrinsic!(_mm_add_ss(two, high));
        intrinsic!(_mm_cvtss_f32(one))
    }
    #[inline(always)]
    fn load_bytes(self, from: &[u8; 4 * LANES]) -> Self::F32s {
        let low = intrinsic!(_mm256_loadu_ps(from[..32].as_ptr().cast()));
        let high = intrinsic!(_mm256_loadu_ps(from[32..].as_ptr().cast()));
        [low, high]
    }
    #[inline(always)]
    fn widen_f16(self, bits: u16) -> f32 {
        let half = intrinsic!(_mm_cvtsi32_si128(i32::from(bits)));
        let wide = intrinsic!(_mm_cvtph_ps(half));
        intrinsic!(_mm_cvtss_f32(wide))
    }
    /// Broadcasts before it widens: a single half would be inserted into a register, and so wait for its last use.
    #[inline(always)]
    fn splat_f16(self, bits: u16) -> Self::F32s {
        let halves = intrinsic!(_mm_set1_epi16(bits as i16));
        [intrinsic!(_mm256_cvtph_ps(halves)); 2]
    }
    #[inline(always)]
    fn widen_f16s(self, from: &[u8; 2 * LANES]) -> Self::F32s {
        each!(half in [&from[..16], &from[16..]] => {
            let halves = intrinsic!(_mm_loadu_si128(half.as_ptr().cast()));
            intrinsic!(_mm256_cvtph_ps(halves))
        })
    }
    #[inline(always)]
    fn widen_bf16s(self, from: &[u8; 2 * LANES]) -> Self::F32s {
        each!(half in [&from[..16], &from[16..]] => {
            let halves = intrinsic!(_mm_loadu_si128(half.as_ptr().cast()));
            let wide = intrinsic!(_mm256_cvtepu16_epi32(halves));
            let bits = intrinsic!(_mm256_slli_epi32::<16>(wide));
            intrinsic!(_mm256_castsi256_ps(bits))
        })
    }
    #[inline(always)]
    fn widen_i8s(self, from: &[u8; LANES]) -> Self::F32s {
        let bytes = intrinsic!(_mm_loadu_si128(from.as_ptr().cast()));
        let high = intrinsic!(_mm_unpackhi_epi64(bytes, bytes));
        each!(half in [bytes, high] => {
            let wide = intrinsic!(_mm256_cvtepi8_epi32(half));
            intrinsic!(_mm256_cvtepi32_ps(wide))
        })
    }
    #[inline(always)]
    fn widen_low_nibbles(self, from: &[u8; LANES]) -> Self::F32s {
        let mask = intrinsic!(_mm256_set1_epi32(15));
        each!(wide in self.widen_u8(from) => {
            let low = intrinsic!(_mm256_and_si256(wide, mask));
            intrinsic!(_mm256_cvtepi32_ps(low))
        })
    }
    #[inline(always)]
    fn widen_high_nibbles(self, from: &[u8; LANES]) -> Self::F32s {
        each!(wide in self.widen_u8(from) => {
            let high = intrinsic!(_mm256_srli_epi32::<4>(wide));
            intrinsic!(_mm256_cvtepi32_ps(high))
        })
    }
}
