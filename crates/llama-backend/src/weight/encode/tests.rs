//! Errors against Candle's encoders, the same bytes on every instruction set, and values that no weight has.

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};

use super::*;
use crate::{
    simd::{Isa, dispatch_on},
    weight::decode_row,
};

const QUANTIZED: [(WeightDtype, GgmlDType); 7] = [
    (WeightDtype::Q4_0, GgmlDType::Q4_0),
    (WeightDtype::Q4_1, GgmlDType::Q4_1),
    (WeightDtype::Q5_0, GgmlDType::Q5_0),
    (WeightDtype::Q8_0, GgmlDType::Q8_0),
    (WeightDtype::Q4K, GgmlDType::Q4K),
    (WeightDtype::Q5K, GgmlDType::Q5K),
    (WeightDtype::Q6K, GgmlDType::Q6K),
];

/// Pseudo-random values in -1..1 (a linear congruential generator).
fn uniform(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_769).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Sums of four, about normal, with a few large ones: what trained weights look like.
fn bell(len: usize, seed: u32) -> Vec<f32> {
    let parts: Vec<Vec<f32>> = (0..4).map(|i| uniform(len, 4 * seed + i)).collect();
    let large = |i: usize| if i.is_multiple_of(97) { 4.0 } else { 1.0 };
    (0..len).map(|i| 0.02 * large(i) * parts.iter().map(|part| part[i]).sum::<f32>()).collect()
}

fn encode(dtype: WeightDtype, values: &[f32]) -> Result<Vec<u8>, Unencodable> {
    let mut row = vec![0xa5; dtype.row_bytes(values.len()).unwrap()];
    encode_row(dtype, values, &mut row).map(|()| row)
}

fn round_trip(dtype: WeightDtype, values: &[f32]) -> Vec<f32> {
    let mut decoded = vec![0.0; values.len()];
    decode_row(dtype, &encode(dtype, values).unwrap(), &mut decoded);
    decoded
}

fn root_mean_square_error(values: &[f32], decoded: &[f32]) -> f64 {
    let squares = values.iter().zip(decoded).map(|(a, b)| f64::from(a - b).powi(2));
    (squares.sum::<f64>() / values.len() as f64).sqrt()
}

/// Our error is at most 1.02 times that of Candle's encoder.
fn check_error(values: &[f32]) {
    let tensor = Tensor::from_vec(values.to_vec(), (values.len() / 512, 512), &Device::Cpu).unwrap();
    for (dtype, ggml) in QUANTIZED {
        let theirs = QTensor::quantize(&tensor, ggml).unwrap().dequantize(&Device::Cpu).unwrap();
        let theirs: Vec<f32> = theirs.flatten_all().unwrap().to_vec1().unwrap();
        let ours = root_mean_square_error(values, &round_trip(dtype, values));
        let theirs = root_mean_square_error(values, &theirs);
        println!("{dtype}: {ours:.3e}, Candle {theirs:.3e}, ratio {:.4}", ours / theirs);
        assert!(ours <= 1.02 * theirs, "{dtype}: {ours:.3e}, Candle {theirs:.3e}");
    }
}

#[test]
fn errors_are_no_larger_than_candles() {
    check_error(&uniform(32 * 512, 1));
    check_error(&bell(32 * 512, 1));
}

#[test]
fn errors_of_one_sided_values_are_no_larger_than_candles() {
    let positive: Vec<f32> = bell(32 * 512, 2).into_iter().map(f32::abs).collect();
    check_error(&positive);
    check_error(&positive.iter().map(|x| -x).collect::<Vec<_>>());
}

#[test]
fn bytes_do_not_depend_on_the_instruction_set() {
    for values in [uniform(1024, 3), bell(1024, 4)] {
        for dtype in WeightDtype::ALL {
            let encode_on = |isa| {
                let mut row = vec![0; dtype.row_bytes(values.len()).unwrap()];
                dispatch_on(isa, EncodeRow { dtype, values: &values, row: &mut row }).unwrap();
                row
            };
            let portable = encode_on(Isa::Portable);
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
                assert!(encode_on(isa) == portable, "{dtype} {isa}");
            }
        }
    }
}

#[test]
fn what_was_decoded_encodes_to_the_same_values_or_nearly() {
    for (dtype, _) in QUANTIZED {
        let once = round_trip(dtype, &bell(1024, 5));
        let twice = round_trip(dtype, &once);
        let size = root_mean_square_error(&once, &[0.0; 1024]);
        let drift = root_mean_square_error(&once, &twice);
        assert!(drift <= 0.02 * size, "{dtype}: {drift:.3e} of {size:.3e}");
    }
}

#[test]
fn dense_formats_round_to_nearest_even() {
    let values = [1.0, -0.0, 1.0 + 1.5 / 256.0, 65504.0, 1e-8, f32::MIN_POSITIVE];
    assert_eq!(round_trip(WeightDtype::F32, &values), values);
    let halves = values.map(|x| f16::from_f32(x).to_f32());
    assert_eq!(round_trip(WeightDtype::F16, &values), halves);
    assert_eq!(
        round_trip(WeightDtype::Bf16, &[1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0]),
        [1.0, 1.0 + 4.0 / 256.0]
    );
    assert!(round_trip(WeightDtype::Bf16, &[f32::NAN])[0].is_nan());
}

#[test]
fn zeros_stay_zeros_and_sign_does_not_matter() {
    for (dtype, _) in QUANTIZED {
        assert!(round_trip(dtype, &[0.0; 256]).iter().all(|&x| x == 0.0), "{dtype}");
        assert!(round_trip(dtype, &[-0.0; 256]).iter().all(|&x| x == 0.0), "{dtype}");
    }
}

#[test]
fn constants_and_lone_values_are_kept() {
    for (dtype, _) in QUANTIZED {
        for value in [0.75f32, -0.75, 65504.0, -65504.0] {
            let mut lone = [0.0; 256];
            lone[77] = value;
            for values in [[value; 256], lone] {
                for (found, expected) in round_trip(dtype, &values).iter().zip(values) {
                    assert!(
                        (found - expected).abs() <= 0.01 * value.abs(),
                        "{dtype}: {found} for {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn values_too_small_for_a_scale_become_small_values() {
    for (dtype, _) in QUANTIZED {
        for size in [1e-45f32, 1e-38, 1e-20, 1e-9, 1e-7, 1e-6, 1e-5] {
            let values: Vec<f32> = uniform(256, 6).iter().map(|x| x * size).collect();
            let decoded = round_trip(dtype, &values);
            // Half of the smallest scale, times the largest number.
            let limit = size + 127.0 * 3e-8;
            assert!(decoded.iter().all(|x| x.abs() <= limit), "{dtype} {size:e}: {decoded:?}");
        }
    }
}

#[test]
fn a_block_with_one_huge_value_loses_only_what_its_scale_costs() {
    for (dtype, _) in QUANTIZED {
        let mut values = bell(512, 7);
        values[300] = 60_000.0;
        let decoded = round_trip(dtype, &values);
        assert!(decoded.iter().all(|x| x.is_finite()), "{dtype}");
        assert!((decoded[300] - 60_000.0).abs() < 600.0, "{dtype}: {}", decoded[300]);
        let other_block = root_mean_square_error(&values[..256], &decoded[..256]);
        assert!(other_block < 0.005, "{dtype}: {other_block}");
    }
}

#[test]
fn what_no_scale_reaches_is_refused() {
    for dtype in QUANTIZED.map(|(dtype, _)| dtype).into_iter().chain([WeightDtype::F16]) {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 65505.0, -1e38, f32::MAX] {
            let mut values = [0.5; 512];
            values[300] = value;
            values[400] = f32::NAN;
            let error = encode(dtype, &values).unwrap_err();
            assert_eq!(error.col_idx, 300, "{dtype}");
            assert_eq!(error.value.to_bits(), value.to_bits(), "{dtype}");
        }
    }
}
