//! Dot products of bytes and of bf16 on x86-64: which loop this CPU can run.

use std::{arch::x86_64::*, hint::black_box};

use super::arithmetic::Chain;

/// Chains in wide registers.
const NUM_CHAINS: usize = 24;
/// Chains where there are sixteen registers.
const NUM_NARROW_CHAINS: usize = 12;

/// VNNI, in the widest registers that have it.
pub(super) fn i8_chain() -> Option<Chain> {
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
        // SAFETY: the CPU has both features.
        return Some(|num_links| unsafe { i8_wide(num_links) });
    }
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni") {
        // SAFETY: the CPU has both features.
        return Some(|num_links| unsafe { i8_narrow(num_links) });
    }
    None
}

/// AVX512_BF16.
pub(super) fn bf16_chain() -> Option<Chain> {
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16") {
        // SAFETY: the CPU has both features.
        return Some(|num_links| unsafe { bf16_wide(num_links) });
    }
    None
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn i8_wide(num_links: usize) -> f64 {
    let (a, b) = (_mm512_set1_epi8(black_box(3)), _mm512_set1_epi8(black_box(5)));
    let mut sums = [_mm512_setzero_si512(); NUM_CHAINS];
    for _ in 0..num_links {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, a, b);
        }
    }
    let mut total = sums[0];
    for sum in &sums[1..] {
        total = _mm512_add_epi32(total, *sum);
    }
    black_box(_mm512_reduce_add_epi32(total));
    2.0 * (num_links * NUM_CHAINS * 64) as f64
}

#[target_feature(enable = "avx2,avxvnni")]
fn i8_narrow(num_links: usize) -> f64 {
    let (a, b) = (_mm256_set1_epi8(black_box(3)), _mm256_set1_epi8(black_box(5)));
    let mut sums = [_mm256_setzero_si256(); NUM_NARROW_CHAINS];
    for _ in 0..num_links {
        for sum in &mut sums {
            *sum = _mm256_dpbusd_avx_epi32(*sum, a, b);
        }
    }
    let mut total = sums[0];
    for sum in &sums[1..] {
        total = _mm256_add_epi32(total, *sum);
    }
    black_box(_mm256_extract_epi32::<0>(total));
    2.0 * (num_links * NUM_NARROW_CHAINS * 32) as f64
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn bf16_wide(num_links: usize) -> f64 {
    let values = _mm512_set1_ps(black_box(0.5));
    let (a, b) = (_mm512_cvtne2ps_pbh(values, values), _mm512_cvtne2ps_pbh(values, values));
    let mut sums = [_mm512_setzero_ps(); NUM_CHAINS];
    for _ in 0..num_links {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, a, b);
        }
    }
    let mut total = sums[0];
    for sum in &sums[1..] {
        total = _mm512_add_ps(total, *sum);
    }
    black_box(_mm512_reduce_add_ps(total));
    2.0 * (num_links * NUM_CHAINS * 32) as f64
}
