//! GELU in sixteen lanes: `x Φ(x)` with the normal distribution's Φ.
//!
//! Φ(x) - 1/2 is odd, so it is x times a function of x²; here a quotient of two polynomials of degree five, fitted by
//! iteratively reweighted least squares (Lawson) on |x| <= 5.5. It is 7e-9 from Φ - 1/2 there, and what rounding adds is
//! below 2e-7 of |x|. Beyond, Φ is taken to be constant.

use crate::simd::{LANES, Simd, pad};

/// Where Φ is 2e-8 from zero and one.
const FURTHEST: f32 = 5.5;
/// The highest power first.
const NUMERATOR: [f32; 6] =
    [2.274_935_8e-8, 6.352_129e-6, 1.688_266_8e-4, 4.677_267e-3, 3.385_274e-2, 3.989_422_3e-1];
const DENOMINATOR: [f32; 6] =
    [1.197_504_5e-6, 7.364_785e-5, 1.884_450_6e-3, 2.864_592_7e-2, 2.515_221_5e-1, 1.0];

/// Replaces each x by gelu(x).
#[inline(always)]
pub(super) fn gelu_in_place<S: Simd>(simd: S, values: &mut [f32]) {
    let (chunks, tail) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        simd.store(gelu(simd, simd.load(chunk)), chunk);
    }
    if !tail.is_empty() {
        let mut padded = pad(tail);
        simd.store(gelu(simd, simd.load(&padded)), &mut padded);
        tail.copy_from_slice(&padded[..tail.len()]);
    }
}

#[inline(always)]
fn gelu<S: Simd>(simd: S, x: S::F32s) -> S::F32s {
    // A NaN stays one: `max` returns its second argument then.
    let minus = simd.splat(-1.0);
    let near = simd.max(simd.splat(-FURTHEST), x);
    let near = simd.mul(simd.max(simd.splat(-FURTHEST), simd.mul(near, minus)), minus);
    let square = simd.mul(near, near);
    let quotient = simd.div(polynomial(simd, NUMERATOR, square), polynomial(simd, DENOMINATOR, square));
    simd.mul(x, simd.mul_add(near, quotient, simd.splat(0.5)))
}

/// Horner's scheme.
#[inline(always)]
fn polynomial<S: Simd>(simd: S, [first, rest @ ..]: [f32; 6], x: S::F32s) -> S::F32s {
    let mut sum = simd.splat(first);
    for coefficient in rest {
        sum = simd.mul_add(sum, x, simd.splat(coefficient));
    }
    sum
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::simd::{Isa, Kernel, dispatch_on};

    struct GeluInPlace<'a>(&'a mut [f32]);

    impl Kernel for GeluInPlace<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            gelu_in_place(simd, self.0);
        }
    }

    #[test]
    fn it_is_close_to_the_library_and_the_same_on_every_instruction_set() {
        let inputs: Vec<f32> = (-40_001..=40_000).map(|i| i as f32 * 5e-4).collect();
        let mut values = inputs.clone();
        dispatch_on(Isa::Portable, GeluInPlace(&mut values));
        let wide: Vec<f64> = inputs.iter().map(|x| f64::from(*x)).collect();
        let expected = Tensor::new(wide, &Device::Cpu).unwrap().gelu_erf().unwrap().to_vec1::<f64>().unwrap();
        for ((x, found), expected) in inputs.iter().zip(&values).zip(expected) {
            assert!((f64::from(*found) - expected).abs() <= 2.5e-7 * f64::from(x.abs()), "{x}: {found}");
        }
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
            let mut again = inputs.clone();
            dispatch_on(isa, GeluInPlace(&mut again));
            assert!(again.iter().zip(&values).all(|(a, b)| a.to_bits() == b.to_bits()), "{isa}");
        }
    }

    #[test]
    fn nan_stays_and_infinity_is_what_it_should_be() {
        let mut values = [f32::NAN, 1e30, 0.0];
        dispatch_on(Isa::detect(), GeluInPlace(&mut values));
        assert!(values[0].is_nan());
        assert!((values[1] / 1e30 - 1.0).abs() < 1e-6);
        assert_eq!(values[2], 0.0);
    }
}
