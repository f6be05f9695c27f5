//! How blocks of sixteen rows become lanes: the formats with blocks of 32. `k_format.rs` has those of 256.
//!
//! The block layouts are those of ggml (`ggml-quants.c` of llama.cpp).

use crate::simd::{ByteLanes, SixteenRows};

/// 32 weights of sixteen rows.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S: ByteLanes> {
    /// Vector `i` has weights `4 i..4 i + 4` as unsigned bytes, [`Format::OFFSET`] too large.
    pub(super) quants: [S::I32s; 8],
    /// What the quants of each half count.
    pub(super) scales: [S::F32s; 2],
    /// What is added to each weight.
    pub(super) minima: S::F32s,
}

/// Takes blocks of 32 weights in their order.
pub(super) trait Sink<S: ByteLanes> {
    fn take(&mut self, simd: S, lanes: &Lanes<S>);
}

/// What products of blocks differ in. Formats of a kind share the code of a product.
pub(super) trait Kind {
    /// Whether there are minima.
    const HAS_MINIMA: bool = false;
    /// Number of scales of 32 weights: 1 or 2.
    const NUM_SCALES: usize = 1;
    /// Whether quants may be larger than 127.
    const IS_WIDE: bool = false;
}

/// One scale.
pub(super) struct Plain;
/// One scale and a minimum.
pub(super) struct WithMinima;
/// One scale, and quants of all eight bits.
pub(super) struct Wide;
/// A scale for each half.
pub(super) struct TwoScales;

impl Kind for Plain {}

impl Kind for WithMinima {
    const HAS_MINIMA: bool = true;
}

impl Kind for Wide {
    const IS_WIDE: bool = true;
}

impl Kind for TwoScales {
    const NUM_SCALES: usize = 2;
}

/// A quantised format.
pub(super) trait Format {
    /// Bytes of a block as it is stored.
    const BLOCK_BYTES: usize;
    /// Blocks of 32 weights in it.
    const NUM_BLOCKS: usize = 1;
    /// What its lanes need.
    type Kind: Kind;
    /// What is taken from each quant, 0 with minima. Input sums make up for it.
    const OFFSET: i32;

    /// Gives `sink` the stored block at byte `at` of each row.
    fn unpack<S: ByteLanes>(simd: S, rows: SixteenRows<'_>, at: usize, sink: &mut impl Sink<S>);
}

pub(super) struct Q4_0;
pub(super) struct Q4_1;
pub(super) struct Q5_0;
pub(super) struct Q8_0;

#[inline(always)]
pub(super) fn low_nibbles<S: ByteLanes>(simd: S, value: S::I32s) -> S::I32s {
    simd.and(value, simd.splat_i32s(0x0f0f_0f0f))
}

#[inline(always)]
pub(super) fn high_nibbles<S: ByteLanes>(simd: S, value: S::I32s) -> S::I32s {
    low_nibbles(simd, simd.shift(value, -4))
}

/// 32 bytes.
#[inline(always)]
pub(super) fn eight<S: ByteLanes>(simd: S, rows: SixteenRows<'_>, at: usize) -> [S::I32s; 8] {
    let (low, high) = (simd.transpose(rows, at), simd.transpose(rows, at + 16));
    [low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]]
}

/// Sixteen bytes of two quants each: the lower halves are the first sixteen.
#[inline(always)]
fn nibbles<S: ByteLanes>(simd: S, rows: SixteenRows<'_>, at: usize) -> [S::I32s; 8] {
    let [a, b, c, d] = simd.transpose(rows, at);
    [
        low_nibbles(simd, a),
        low_nibbles(simd, b),
        low_nibbles(simd, c),
        low_nibbles(simd, d),
        high_nibbles(simd, a),
        high_nibbles(simd, b),
        high_nibbles(simd, c),
        high_nibbles(simd, d),
    ]
}

impl Format for Q4_0 {
    const BLOCK_BYTES: usize = 18;
    type Kind = Plain;
    const OFFSET: i32 = 8;

    #[inline(always)]
    fn unpack<S: ByteLanes>(simd: S, rows: SixteenRows<'_>, at: usize, sink: &mut impl Sink<S>) {
        let scales = simd.halves_to_f32s(simd.gather(rows, at));
        let quants = nibbles(simd, rows, at + 2);
        sink.take(simd, &Lanes { quants, scales: [scales; 2], minima: simd.splat(0.0) });
    }
}

impl Format for Q4_1 {
    const BLOCK_BYTES: usize = 20;
    const OFFSET: i32 = 0;
    type Kind = WithMinima;

    #[inline(always)]
    fn unpack<S: ByteLanes>(simd: S, rows: SixteenRows<'_>, at: usize, sink: &mut impl Sink<S>) {
        let halves = simd.gather(rows, at);
        let scales = simd.halves_to_f32s(halves);
        let minima = simd.halves_to_f32s(simd.shift(halves, -16));
        let quants = nibbles(simd, rows, at + 4);
        sink.take(simd, &Lanes { quants, scales: [scales; 2], minima });
    }
}

impl Format for Q5_0 {
    const BLOCK_BYTES: usize = 22;
    type Kind = Plain;
    const OFFSET: i32 = 16;

    #[inline(always)]
    fn unpack<S: ByteLanes>(simd: S, rows: SixteenRows<'_>, at: usize, sink: &mut impl Sink<S>) {
        // The scale's two bytes, then the fifth bits of the 32 quants.
        let [first, second, ..] = simd.transpose(rows, at);
        let scales = simd.halves_to_f32s(first);
        let fifth = simd.xor(simd.shift(first, -16), simd.shift(second, 16));
        let mut quants = nibbles(simd, rows, at + 6);
        for i in 0..8 {
            quants[i] = simd.xor(quants[i], simd.spread_bits(fifth, 4 * i as i32));
        }
        sink.take(simd, &Lanes { quants, scales: [scales; 2], minima: simd.splat(0.0) });
    }
}

impl Format for Q8_0 {
    const BLOCK_BYTES: usize = 34;
    type Kind = Wide;
    const OFFSET: i32 = 128;

    #[inline(always)]
    fn unpack<S: ByteLanes>(simd: S, rows: SixteenRows<'_>, at: usize, sink: &mut impl Sink<S>) {
        let scales = simd.halves_to_f32s(simd.gather(rows, at));
        let mut quants = eight(simd, rows, at + 2);
        for i in 0..8 {
            // A signed byte plus 128.
            quants[i] = simd.xor(quants[i], simd.splat_i32s(i32::from_le_bytes([0x80; 4])));
        }
        sink.take(simd, &Lanes { quants, scales: [scales; 2], minima: simd.splat(0.0) });
    }
}
