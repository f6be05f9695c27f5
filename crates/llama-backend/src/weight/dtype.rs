//! The element formats a checkpoint may use: which there are, and how many bytes they take.
//!
//! Invariant: a row of a matrix is a whole number of blocks. Decoding a block is `dequantize.rs`'s work.

use std::fmt;

/// Format of the elements of one weight, as they lie in the file.
///
/// Quantised formats are those of ggml (`ggml-quants.h` of llama.cpp describes the block layouts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightDtype {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16: the upper half of an f32.
    Bf16,
    /// 32 values: f16 scale, 4-bit values around 8.
    Q4_0,
    /// 32 values: f16 scale, f16 minimum, 4-bit values.
    Q4_1,
    /// 32 values: f16 scale, 5-bit values around 16.
    Q5_0,
    /// 32 values: f16 scale, 8-bit signed values.
    Q8_0,
    /// 256 values in 8 groups: 4-bit values with 6-bit group scales and minima.
    Q4K,
    /// 256 values in 8 groups: 5-bit values with 6-bit group scales and minima.
    Q5K,
    /// 256 values in 16 groups: 6-bit values with 8-bit group scales.
    Q6K,
}

impl WeightDtype {
    /// Every format, in the order of the declaration.
    pub const ALL: [Self; 10] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q8_0,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// Number of values that share one block: 1 for the dense formats.
    pub const fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of one block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 => 2 + 16,
            Self::Q4_1 => 2 + 2 + 16,
            Self::Q5_0 => 2 + 4 + 16,
            Self::Q8_0 => 2 + 32,
            Self::Q4K => 2 + 2 + 12 + 128,
            Self::Q5K => 2 + 2 + 12 + 32 + 128,
            Self::Q6K => 128 + 64 + 16 + 2,
        }
    }

    /// Bytes of a row of `len` values; `None` if `len` is not a whole number of blocks or the size overflows.
    pub const fn row_bytes(self, len: usize) -> Option<usize> {
        if !len.is_multiple_of(self.block_len()) {
            return None;
        }
        (len / self.block_len()).checked_mul(self.block_bytes())
    }

    /// Whether several values share a block.
    pub const fn is_quantized(self) -> bool {
        self.block_len() > 1
    }
}

impl fmt::Display for WeightDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q8_0 => "Q8_0",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        })
    }
}
