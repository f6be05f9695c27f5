//! How blocks of sixteen rows become lanes: the formats with blocks of 256 and scales of their own quantised.
//!
//! The block layouts are those of ggml (`ggml-quants.c` of llama.cpp).

use super::format::{Format, Lanes, Sink, TwoScales, WithMinima, eight, high_nibbles, low_nibbles};
use crate::simd::{ByteLanes, SixteenRows};

pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;

/// The first sixteen bytes of Q4_K and Q5_K: f16 scale and minimum, and twelve bytes that pack a scale and a minimum
/// of six bits for each of eight groups.
struct Header<S: ByteLanes> {
    scale: S::F32s,
    minus_minimum: S::F32s,
    packed: [S::I32s; 3],
}

impl<S: ByteLanes> Header<S> {
    #[inline(always)]
    fn new(simd: S, rows: SixteenRows<'_>, at: usize) -> Self {
        let [halves, a, b, c] = simd.transpose(rows, at);
        let minimum = simd.halves_to_f32s(simd.shift(halves, -16));
        Self {
            scale: simd.halves_to_f32s(halves),
            minus_minimum: simd.mul(minimum, simd.splat(-1.0)),
            packed: [a, b, c],
        }
    }

    /// Scales and minima of group `i`.
    #[inline(always)]
    fn group(&self, simd: S, i: usize) -> (S::F32s, S::F32s) {
        let [a, b, c] = self.packed;
        let byte = 8 * (i as i32 % 4);
        let (scale, minimum) = match i < 4 {
            true => {
                let six = simd.splat_i32s(63);
                (simd.and(simd.shift(a, -byte), six), simd.and(simd.shift(b, -byte), six))
            }
            false => {
                let (lower, upper) = (simd.splat_i32s(15), simd.splat_i32s(48));
                let c = simd.shift(c, -byte);
                let high_a = simd.and(simd.shift(a, -byte - 2), upper);
                let high_b = simd.and(simd.shift(b, -byte - 2), upper);
                let scale = simd.xor(simd.and(c, lower), high_a);
                (scale, simd.xor(simd.and(simd.shift(c, -4), lower), high_b))
            }
        };
        let scale = simd.mul(self.scale, simd.to_f32s(scale));
        (scale, simd.mul(self.minus_minimum, simd.to_f32s(minimum)))
    }

    /// Gives `sink` group `i`.
    #[inline(always)]
    fn send(&self, simd: S, i: usize, quants: [S::I32s; 8], sink: &mut impl Sink<S>) {
        let (scales, minima) = self.group(simd, i);
        sink.take(simd, &Lanes { quants, scales: [scales; 2], minima });
    }
}

#[inline(always)]
fn split_nibbles<S: ByteLanes>(simd: S, bytes: [S::I32s; 8]) -> [[S::I32s; 8]; 2] {
    let (mut low, mut high) = (bytes, bytes);
    for i in 0..8 {
        low[i] = low_nibbles(simd, bytes[i]);
        high[i] = high_nibbles(simd, bytes[i]);
    }
    [low, high]
}

impl Format for Q4K {
    const BLOCK_BYTES: usize = 144;
    const NUM_BLOCKS: usize = 8;
    const OFFSET: i32 = 0;
    type Kind = WithMinima;

    #[inline(always)]
    fn unpack<S: ByteLanes>(simd: S, rows: SixteenRows<'_>, at: usize, sink: &mut impl Sink<S>) {
        let header = Header::new(simd, rows, at);
        for pair in 0..4 {
            let bytes = eight(simd, rows, at + 16 + 32 * pair);
            let [low, high] = split_nibbles(simd, bytes);
            header.send(simd, 2 * pair, low, sink);
            header.send(simd, 2 * pair + 1, high, sink);
        }
    }
}

/// Adds the bits `mask` of `upper`, shifted to the left, or to the right if `left` is negative.
#[inline(always)]
fn with_upper<S: ByteLanes>(
    simd: S,
    mut quants: [S::I32s; 8],
    upper: &[S::I32s; 8],
    (left, mask): (i32, i32),
) -> [S::I32s; 8] {
    for i in 0..8 {
        let bits = simd.and(simd.shift(upper[i], left), simd.splat_i32s(mask));
        quants[i] = simd.xor(quants[i], bits);
    }
    quants
}

impl Format for Q5K {
    const BLOCK_BYTES: usize = 176;
    const NUM_BLOCKS: usize = 8;
    const OFFSET: i32 = 0;
    type Kind = WithMinima;

    #[inline(always)]
    fn unpack<S: ByteLanes>(simd: S, rows: SixteenRows<'_>, at: usize, sink: &mut impl Sink<S>) {
        let header = Header::new(simd, rows, at);
        let fifth = eight(simd, rows, at + 16);
        for pair in 0..4 {
            let bytes = eight(simd, rows, at + 48 + 32 * pair);
            let [low, high] = split_nibbles(simd, bytes);
            for (group, quants) in [(2 * pair, low), (2 * pair + 1, high)] {
                // Bit `group` of each byte counts 16.
                let quants = with_upper(simd, quants, &fifth, (4 - group as i32, 0x1010_1010));
                header.send(simd, group, quants, sink);
            }
        }
    }
}

impl Format for Q6K {
    const BLOCK_BYTES: usize = 210;
    const NUM_BLOCKS: usize = 8;
    const OFFSET: i32 = 32;
    type Kind = TwoScales;

    /// The block has two halves of 128 weights, a half four runs of 32, a run two groups with a scale each.
    #[inline(always)]
    fn unpack<S: ByteLanes>(simd: S, rows: SixteenRows<'_>, at: usize, sink: &mut impl Sink<S>) {
        let halves = simd.gather(rows, at + 206);
        let scale = simd.halves_to_f32s(simd.shift(halves, -16));
        // Group scales are read as the top byte of a number, where their sign is right: 2^24 times too large.
        let scale = simd.mul(scale, simd.splat(1.0 / 16_777_216.0));
        let packed = simd.transpose(rows, at + 192);
        for half in 0..2 {
            let [a, c] = split_nibbles(simd, eight(simd, rows, at + 64 * half));
            let [b, d] = split_nibbles(simd, eight(simd, rows, at + 64 * half + 32));
            let upper = eight(simd, rows, at + 128 + 32 * half);
            let runs = [a, b, c, d];
            for run in 0..4 {
                // Bits `2 run..2 run + 2` of each byte count 16 and 32.
                let quants = with_upper(simd, runs[run], &upper, (4 - 2 * run as i32, 0x3030_3030));
                let four_scales = packed[2 * half + run / 2];
                let mut scales = [scale; 2];
                for group in 0..2 {
                    let byte = 2 * (run as i32 % 2) + group as i32;
                    let top = simd.and(simd.shift(four_scales, 24 - 8 * byte), simd.splat_i32s(-1 << 24));
                    scales[group] = simd.mul(scale, simd.to_f32s(top));
                }
                sink.take(simd, &Lanes { quants, scales, minima: simd.splat(0.0) });
            }
        }
    }
}
