//! Values of a case: few numbers that say how to make many.

use candle_core::DType;
use half::{bf16, f16};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// Size of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Magnitude {
    /// -1 to 1.
    Unit,
    /// Exponents from -12 to 4, mixed.
    Mixed,
    /// As large as products of three may be.
    Large,
    /// Below the smallest normal number.
    Subnormal,
    /// All zero.
    Zero,
}

/// A reproducible stream of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fill {
    pub(crate) magnitude: Magnitude,
    pub(crate) seed: u32,
}

impl Fill {
    /// Unit magnitude, seed 0.
    pub(crate) const UNIT: Self = Self { magnitude: Magnitude::Unit, seed: 0 };

    /// Any magnitude.
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let magnitude = prop_oneof![
            4 => Just(Magnitude::Unit),
            3 => Just(Magnitude::Mixed),
            1 => Just(Magnitude::Large),
            1 => Just(Magnitude::Subnormal),
            1 => Just(Magnitude::Zero),
        ];
        (magnitude, 0u32..1 << 16).prop_map(|(magnitude, seed)| Self { magnitude, seed })
    }

    /// Magnitudes that weights have.
    pub(crate) fn moderate() -> impl Strategy<Value = Self> {
        let magnitude = prop_oneof![2 => Just(Magnitude::Unit), 1 => Just(Magnitude::Mixed)];
        (magnitude, 0u32..1 << 16).prop_map(|(magnitude, seed)| Self { magnitude, seed })
    }

    /// `len` values that `dtype` holds exactly; `stream` tells the tensors of a case apart.
    pub(crate) fn values(self, len: usize, stream: u32, dtype: DType) -> Vec<f32> {
        let mut bits = Bits::new(self.seed, stream);
        (0..len).map(|_| rounded(self.value(&mut bits, dtype), dtype)).collect()
    }

    fn value(self, bits: &mut Bits, dtype: DType) -> f32 {
        let unit = bits.unit();
        match self.magnitude {
            Magnitude::Unit => unit,
            Magnitude::Mixed => unit * 2f32.powi((bits.next() % 17) as i32 - 12),
            Magnitude::Large => unit * if dtype == DType::F16 { 200.0 } else { 1e9 },
            Magnitude::Subnormal => unit * smallest_normal(dtype),
            Magnitude::Zero => 0.0,
        }
    }
}

/// The value of `dtype` that is nearest.
pub(crate) fn rounded(value: f32, dtype: DType) -> f32 {
    match dtype {
        DType::F16 => f16::from_f32(value).to_f32(),
        DType::BF16 => bf16::from_f32(value).to_f32(),
        _ => value,
    }
}

/// Smallest number of `dtype` with full precision.
pub(crate) fn smallest_normal(dtype: DType) -> f32 {
    match dtype {
        DType::F16 => f16::MIN_POSITIVE.to_f32(),
        _ => f32::MIN_POSITIVE,
    }
}

/// Pseudo-random bits (splitmix64: Steele, Lea and Flood, OOPSLA 2014).
struct Bits(u64);

impl Bits {
    fn new(seed: u32, stream: u32) -> Self {
        Self(u64::from(seed) << 32 | u64::from(stream))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// -1 to 1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// A permutation of `0..len`.
pub(crate) fn permutation(len: usize, seed: u32) -> Vec<u32> {
    let mut bits = Bits::new(seed, u32::MAX);
    let mut order: Vec<u32> = (0..len as u32).collect();
    for i in (1..len).rev() {
        order.swap(i, (bits.next() % (i as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_dtype_and_magnitude() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            for magnitude in [Magnitude::Unit, Magnitude::Mixed, Magnitude::Large, Magnitude::Subnormal] {
                let values = Fill { magnitude, seed: 3 }.values(500, 1, dtype);
                assert!(
                    values.iter().all(|&x| x.is_finite() && rounded(x, dtype) == x),
                    "{dtype:?} {magnitude:?}"
                );
                assert!(values.iter().any(|&x| x != values[0]), "{dtype:?} {magnitude:?}");
            }
            let subnormal = Fill { magnitude: Magnitude::Subnormal, seed: 1 }.values(500, 1, dtype);
            assert!(subnormal.iter().all(|x| x.abs() <= smallest_normal(dtype)));
        }
    }

    #[test]
    fn permutations_hold_everything_once() {
        let mut order = permutation(50, 9);
        assert_ne!(order, (0..50).collect::<Vec<u32>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<u32>>());
    }
}
