//! Sixteen lanes in one 512-bit register.

use std::arch::x86_64::*;

use super::{Kernel, LANES, Simd};

/// Proof that the CPU has AVX-512 F, BW, DQ, VL and VNNI.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        found.then_some(Self(()))
    }
}

/// Compiles a kernel for AVX-512.
pub(super) fn run<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    fn compiled<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
        kernel.run(simd)
    }
    // SAFETY: `simd` is the proof that the CPU has these instructions.
    unsafe { compiled(simd, kernel) }
}

/// Wraps one intrinsic; the reason is the same for all of them.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: `self` is the proof that the CPU has AVX-512, and array references are valid for their length.
        unsafe { $call }
    };
}

impl Simd for Avx512 {
    type F32s = __m512;
    const HAS_WIDE_REGISTERS: bool = true;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        intrinsic!(_mm512_set1_ps(value))
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> __m512 {
        intrinsic!(_mm512_loadu_ps(from.as_ptr()))
    }
    #[inline(always)]
    fn store(self, value: __m512, to: &mut [f32; LANES]) {
        intrinsic!(_mm512_storeu_ps(to.as_mut_ptr(), value))
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        intrinsic!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn round(self, value: __m512) -> __m512 {
        intrinsic!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(value))
    }
    #[inline(always)]
    fn pow2(self, n: __m512) -> __m512 {
        let whole = intrinsic!(_mm512_cvtps_epi32(n));
        let bias = intrinsic!(_mm512_set1_epi32(127));
        let biased = intrinsic!(_mm512_add_epi32(whole, bias));
        let exponent = intrinsic!(_mm512_slli_epi32::<23>(biased));
        intrinsic!(_mm512_castsi512_ps(exponent))
    }
    #[inline(always)]
    fn sum(self, value: __m512) -> f32 {
        let low = intrinsic!(_mm512_castps512_ps256(value));
        let high = intrinsic!(_mm512_extractf32x8_ps::<1>(value));
        let eight = intrinsic!(_mm256_add_ps(low, high));
        let low = intrinsic!(_mm256_castps256_ps128(eight));
        let high = intrinsic!(_mm256_extractf128_ps::<1>(eight));
        let four = intrinsic!(_mm_add_ps(low, high));
        let high = intrinsic!(_mm_movehl_ps(four, four));
        let two = intrinsic!(_mm_add_ps(four, high));
        let high = intrinsic!(_mm_movehdup_ps(two));
        let one = intrinsic!(_mm_add_ss(two, high));
        intrinsic!(_mm_cvtss_f32(one))
    }
    /// Halves of two vectors are added at a time, so that each level of the tree takes half the instructions of the
    /// one before.
    #[inline(always)]
    fn sums(self, values: [__m512; LANES]) -> __m512 {
        // The low halves of two vectors in one register, their high halves in the other; then quarters, pairs, lanes.
        let mut eights = [values[0]; 8];
        for i in 0..8 {
            let (a, b) = (values[i], values[i + 8]);
            let low = intrinsic!(_mm512_shuffle_f32x4::<0b01_00_01_00>(a, b));
            let high = intrinsic!(_mm512_shuffle_f32x4::<0b11_10_11_10>(a, b));
            eights[i] = intrinsic!(_mm512_add_ps(low, high));
        }
        let mut fours = [values[0]; 4];
        for i in 0..4 {
            let (a, b) = (eights[i], eights[i + 4]);
            let low = intrinsic!(_mm512_shuffle_f32x4::<0b10_00_10_00>(a, b));
            let high = intrinsic!(_mm512_shuffle_f32x4::<0b11_01_11_01>(a, b));
            fours[i] = intrinsic!(_mm512_add_ps(low, high));
        }
        let mut twos = [values[0]; 2];
        for i in 0..2 {
            let (a, b) = (fours[i], fours[i + 2]);
            let low = intrinsic!(_mm512_shuffle_ps::<0b01_00_01_00>(a, b));
            let high = intrinsic!(_mm512_shuffle_ps::<0b11_10_11_10>(a, b));
            twos[i] = intrinsic!(_mm512_add_ps(low, high));
        }
        let low = intrinsic!(_mm512_shuffle_ps::<0b10_00_10_00>(twos[0], twos[1]));
        let high = intrinsic!(_mm512_shuffle_ps::<0b11_01_11_01>(twos[0], twos[1]));
        let ones = intrinsic!(_mm512_add_ps(low, high));
        // Where the sum of vector i is by now.
        let places = intrinsic!(_mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15));
        intrinsic!(_mm512_permutexvar_ps(places, ones))
    }
    #[inline(always)]
    fn load_bytes(self, from: &[u8; 4 * LANES]) -> __m512 {
        intrinsic!(_mm512_loadu_ps(from.as_ptr().cast()))
    }
    #[inline(always)]
    fn widen_f16(self, bits: u16) -> f32 {
        let half = intrinsic!(_mm_cvtsi32_si128(i32::from(bits)));
        let wide = intrinsic!(_mm_cvtph_ps(half));
        intrinsic!(_mm_cvtss_f32(wide))
    }
    /// Broadcasts before it widens: a single half would be inserted into a register, and so wait for its last use.
    #[inline(always)]
    fn splat_f16(self, bits: u16) -> __m512 {
        let halves = intrinsic!(_mm256_set1_epi16(bits as i16));
        intrinsic!(_mm512_cvtph_ps(halves))
    }
    #[inline(always)]
    fn widen_f16s(self, from: &[u8; 2 * LANES]) -> __m512 {
        let halves = intrinsic!(_mm256_loadu_si256(from.as_ptr().cast()));
        intrinsic!(_mm512_cvtph_ps(halves))
    }
    #[inline(always)]
    fn widen_bf16s(self, from: &[u8; 2 * LANES]) -> __m512 {
        let halves = intrinsic!(_mm256_loadu_si256(from.as_ptr().cast()));
        let wide = intrinsic!(_mm512_cvtepu16_epi32(halves));
        let bits = intrinsic!(_mm512_slli_epi32::<16>(wide));
        intrinsic!(_mm512_castsi512_ps(bits))
    }
    #[inline(always)]
    fn widen_i8s(self, from: &[u8; LANES]) -> __m512 {
        let bytes = intrinsic!(_mm_loadu_si128(from.as_ptr().cast()));
        let wide = intrinsic!(_mm512_cvtepi8_epi32(bytes));
        intrinsic!(_mm512_cvtepi32_ps(wide))
    }
    #[inline(always)]
    fn widen_low_nibbles(self, from: &[u8; LANES]) -> __m512 {
        let bytes = intrinsic!(_mm_loadu_si128(from.as_ptr().cast()));
        let wide = intrinsic!(_mm512_cvtepu8_epi32(bytes));
        let mask = intrinsic!(_mm512_set1_epi32(15));
        let low = intrinsic!(_mm512_and_si512(wide, mask));
        intrinsic!(_mm512_cvtepi32_ps(low))
    }
    #[inline(always)]
    fn widen_high_nibbles(self, from: &[u8; LANES]) -> __m512 {
        let bytes = intrinsic!(_mm_loadu_si128(from.as_ptr().cast()));
        let wide = intrinsic!(_mm512_cvtepu8_epi32(bytes));
        let high = intrinsic!(_mm512_srli_epi32::<4>(wide));
        intrinsic!(_mm512_cvtepi32_ps(high))
    }
}
