//! Whole numbers beside the f32 lanes of [`Simd`]: sixteen lanes of 32 bits, or of four bytes, and their dot products.
//!
//! Invariant: every operation is exact, so sums of products are the same on every instruction set and in any order.
//! Reads from weights go through [`SixteenRows`], which has checked its bounds once.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use super::{Kernel, LANES, Simd};

/// Bytes of sixteen lanes.
pub const LANE_BYTES: usize = 4 * LANES;

/// Sixteen rows of equally many bytes, one after another: what lies under sixteen lanes.
#[derive(Clone, Copy, Debug)]
pub struct SixteenRows<'a> {
    bytes: &'a [u8],
    row_bytes: usize,
}

impl<'a> SixteenRows<'a> {
    /// Cuts `bytes` into sixteen rows.
    ///
    /// # Panics
    /// If `bytes` is not sixteen times `row_bytes` long.
    pub fn new(bytes: &'a [u8], row_bytes: usize) -> Self {
        assert!(bytes.len().is_multiple_of(LANES) && bytes.len() / LANES == row_bytes, "row of {row_bytes}");
        Self { bytes, row_bytes }
    }

    /// Bytes of one row.
    #[inline(always)]
    pub fn row_bytes(self) -> usize {
        self.row_bytes
    }

    /// All bytes, checked to hold `N` of them at `at` of each row.
    #[inline(always)]
    fn checked<const N: usize>(self, at: usize) -> &'a [u8] {
        let last = self.row_bytes.checked_sub(N);
        assert!(last.is_some_and(|last| at <= last), "{N} bytes at {at} of {}", self.row_bytes);
        self.bytes
    }
}

/// Bits in sixteen lanes.
pub trait Ints: Simd {
    /// Sixteen lanes of 32 bits.
    type I32s: Copy;

    /// All lanes `value`.
    fn splat_i32s(self, value: i32) -> Self::I32s;
    /// Reads sixteen lanes, each little-endian.
    fn load_i32s(self, from: &[u8; LANE_BYTES]) -> Self::I32s;
    /// Writes sixteen lanes, each little-endian.
    fn store_i32s(self, value: Self::I32s, to: &mut [u8; LANE_BYTES]);
    /// `a & b`.
    fn and(self, a: Self::I32s, b: Self::I32s) -> Self::I32s;
    /// `a ^ b`.
    fn xor(self, a: Self::I32s, b: Self::I32s) -> Self::I32s;
    /// Shifts each lane to the left, or to the right if `left` is negative; zeros come in.
    fn shift(self, value: Self::I32s, left: i32) -> Self::I32s;
}

/// Products of bytes, and the ways from stored rows to lanes.
pub trait ByteLanes: Ints {
    /// Runs a kernel as a function of its own: what several places use is then compiled once.
    fn call<K: Kernel>(self, kernel: K) -> K::Output;
    /// Bytes `at..at + 4` of each row.
    fn gather(self, rows: SixteenRows<'_>, at: usize) -> Self::I32s;
    /// Bytes `at..at + 16` of each row: vector `i` has bytes `4 i..4 i + 4`.
    fn transpose(self, rows: SixteenRows<'_>, at: usize) -> [Self::I32s; 4];
    /// Adds to each lane the dot product of its four unsigned bytes, at most 127 each, with its four signed ones.
    fn dot(self, sums: Self::I32s, unsigned: Self::I32s, signed: Self::I32s) -> Self::I32s;
    /// Each lane as a signed number.
    fn to_f32s(self, value: Self::I32s) -> Self::F32s;
    /// The lower half of each lane as an f16 value.
    fn halves_to_f32s(self, value: Self::I32s) -> Self::F32s;

    /// Asks for bytes that will be read soon. Does nothing where there is no such instruction.
    #[inline(always)]
    fn prefetch(self, _bytes: &[u8]) {}
    /// [`Self::dot`] for any unsigned bytes.
    #[inline(always)]
    fn dot_wide(self, sums: Self::I32s, unsigned: Self::I32s, signed: Self::I32s) -> Self::I32s {
        let low = self.and(unsigned, self.splat_i32s(0x7f7f_7f7f));
        let half_of_high = self.and(self.shift(unsigned, -1), self.splat_i32s(0x4040_4040));
        let sums = self.dot(sums, low, signed);
        let sums = self.dot(sums, half_of_high, signed);
        self.dot(sums, half_of_high, signed)
    }
    /// Bits `first..first + 4` of each lane, one in each byte, where it counts 16.
    #[inline(always)]
    fn spread_bits(self, value: Self::I32s, first: i32) -> Self::I32s {
        let four = self.and(self.shift(value, -first), self.splat_i32s(15));
        let pairs = self.and(self.xor(four, self.shift(four, 14)), self.splat_i32s(0x0003_0003));
        let ones = self.and(self.xor(pairs, self.shift(pairs, 7)), self.splat_i32s(0x0101_0101));
        self.shift(ones, 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, dispatch_on};

    /// Runs each operation on bytes of every value, and writes down all that came out.
    struct Everything;

    impl Kernel for Everything {
        type Output = Vec<u8>;
        #[inline(always)]
        fn run<S: ByteLanes>(self, simd: S) -> Vec<u8> {
            let bytes: Vec<u8> = (0..16 * 37).map(|i| (i * i * 31 + i * 7 + 11) as u8).collect();
            let rows = SixteenRows::new(&bytes, 37);
            let mut out = Vec::new();
            let mut keep = |value| {
                let mut bytes = [0; LANE_BYTES];
                simd.store_i32s(value, &mut bytes);
                out.extend(bytes);
            };
            let [a, b, c, d] = simd.transpose(rows, 21);
            for value in [a, b, c, d, simd.gather(rows, 33), simd.gather(rows, 0)] {
                keep(value);
                keep(simd.shift(value, -9));
                keep(simd.shift(value, 4));
                keep(simd.spread_bits(value, 12));
                keep(simd.and(value, a));
                keep(simd.xor(value, b));
                keep(simd.dot_wide(c, value, d));
                keep(simd.dot(c, simd.and(value, simd.splat_i32s(0x7f7f_7f7f)), d));
            }
            // 255 times 127 or -128, all bytes: what overflows sixteen bits.
            for signed in [0x7f7f_7f7f, i32::from_le_bytes([0x80; 4])] {
                keep(simd.dot_wide(a, simd.splat_i32s(-1), simd.splat_i32s(signed)));
                keep(simd.dot(a, simd.splat_i32s(0x7f7f_7f7f), simd.splat_i32s(signed)));
            }
            let mut floats = [0.0; LANES];
            let finite = simd.and(b, simd.splat_i32s(0x0000_bbff));
            for value in [simd.to_f32s(a), simd.halves_to_f32s(finite)] {
                simd.store(value, &mut floats);
                out.extend(floats.iter().flat_map(|x| x.to_le_bytes()));
            }
            out
        }
    }

    #[test]
    fn all_sets_agree() {
        let portable = dispatch_on(Isa::Portable, Everything);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
            assert!(dispatch_on(isa, Everything) == portable, "{isa}");
        }
    }

    #[test]
    #[should_panic(expected = "4 bytes at 6 of 9")]
    fn reads_outside_of_a_row_are_refused() {
        struct Outside;
        impl Kernel for Outside {
            type Output = ();
            #[inline(always)]
            fn run<S: ByteLanes>(self, simd: S) {
                simd.gather(SixteenRows::new(&[0; 16 * 9], 9), 6);
            }
        }
        dispatch_on(Isa::detect(), Outside);
    }
}
