//! Sixteen lanes of f32 on every instruction set: kernels are written once against [`Simd`] and compiled per set.
//!
//! Invariant: an operation gives the same bits on every instruction set. A dot product always runs in sixteen
//! lanes with fused multiply-add and is summed by the same tree, so neither the batch around a row nor the CPU
//! changes a result. `unsafe` stays in the files that wrap intrinsics; kernels are safe code.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod dispatch;
mod ints;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

pub use dispatch::{Isa, Kernel, dispatch, dispatch_on};
pub use ints::{ByteLanes, Ints, LANE_BYTES, SixteenRows};
pub(crate) use math::{axpy, dot, exp, exp_in_place, largest, pad};

/// Number of f32 lanes of a vector, on every instruction set.
pub const LANES: usize = 16;

/// Sixteen f32 lanes and what can be done with them. A value of an implementing type is the proof that the
/// running CPU has the instructions.
pub trait Simd: Copy + Send + Sync {
    /// Sixteen f32 values.
    type F32s: Copy;
    /// Whether some thirty of these vectors fit into registers, so that a kernel may keep many sums.
    const HAS_WIDE_REGISTERS: bool;

    /// All lanes `value`.
    fn splat(self, value: f32) -> Self::F32s;
    /// Reads sixteen values.
    fn load(self, from: &[f32; LANES]) -> Self::F32s;
    /// Writes sixteen values.
    fn store(self, value: Self::F32s, to: &mut [f32; LANES]);
    /// `a + b`.
    fn add(self, a: Self::F32s, b: Self::F32s) -> Self::F32s;
    /// `a * b`.
    fn mul(self, a: Self::F32s, b: Self::F32s) -> Self::F32s;
    /// `a / b`.
    fn div(self, a: Self::F32s, b: Self::F32s) -> Self::F32s;
    /// The larger of each pair; `b` where one is NaN.
    fn max(self, a: Self::F32s, b: Self::F32s) -> Self::F32s;
    /// `a * b + c` with one rounding.
    fn mul_add(self, a: Self::F32s, b: Self::F32s, c: Self::F32s) -> Self::F32s;
    /// The nearest whole number, ties to even.
    fn round(self, value: Self::F32s) -> Self::F32s;
    /// `2^n` for whole `n` in -126..=127.
    fn pow2(self, n: Self::F32s) -> Self::F32s;
    /// Sum of the lanes by the tree 8, 4, 2, 1.
    fn sum(self, value: Self::F32s) -> f32;
    /// Sum of each vector's lanes by that tree, in the lane of the vector's number.
    #[inline(always)]
    fn sums(self, values: [Self::F32s; LANES]) -> Self::F32s {
        let mut sums = [0.0; LANES];
        for i in 0..LANES {
            sums[i] = self.sum(values[i]);
        }
        self.load(&sums)
    }
    /// Sixteen f32 values, little-endian, at any address.
    #[inline(always)]
    fn load_bytes(self, from: &[u8; 4 * LANES]) -> Self::F32s {
        let mut values = [0.0; LANES];
        for (value, bytes) in values.iter_mut().zip(from.as_chunks().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        self.load(&values)
    }
    /// One f16 value, given as its bits.
    fn widen_f16(self, bits: u16) -> f32;
    /// All lanes one f16 value, given as its bits.
    fn splat_f16(self, bits: u16) -> Self::F32s {
        self.splat(self.widen_f16(bits))
    }
    /// Sixteen f16 values, little-endian.
    fn widen_f16s(self, from: &[u8; 2 * LANES]) -> Self::F32s;
    /// Sixteen bf16 values, little-endian.
    fn widen_bf16s(self, from: &[u8; 2 * LANES]) -> Self::F32s;
    /// Sixteen signed bytes.
    fn widen_i8s(self, from: &[u8; LANES]) -> Self::F32s;
    /// The lower four bits of each byte, 0 to 15.
    fn widen_low_nibbles(self, from: &[u8; LANES]) -> Self::F32s;
    /// The upper four bits of each byte, 0 to 15.
    fn widen_high_nibbles(self, from: &[u8; LANES]) -> Self::F32s;
}
