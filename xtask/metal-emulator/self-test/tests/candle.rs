//! Candle's operations on the emulated device against its CPU, in natural order and in others.

use anyhow::ensure;
use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{D, DType, Device, Module, Tensor};
use metal_emulator::Counters;
use self_test::{difference, tensor};

const SEEDS: [u64; 4] = [0, 1, 2, 3];

/// The floating-point types, with what rounding may cost in one operation.
const DTYPES: [(DType, f32); 3] = [(DType::F32, 2e-5), (DType::F16, 6e-3), (DType::BF16, 5e-2)];

fn check(name: &str, tolerance: f32, operation: impl Fn(&Device) -> anyhow::Result<Tensor>) {
    let expected = operation(&Device::Cpu).unwrap_or_else(|error| panic!("{name} on the CPU: {error:?}"));
    check_against(name, tolerance, &expected, operation);
}

/// For what Candle's CPU lacks.
fn check_against(
    name: &str,
    tolerance: f32,
    expected: &Tensor,
    operation: impl Fn(&Device) -> anyhow::Result<Tensor>,
) {
    let device = Device::new_metal(0).expect("the emulator has a device");
    for seed in SEEDS {
        metal_emulator::set_seed(seed);
        let before = Counters::now().dispatches;
        let compare = || -> anyhow::Result<()> {
            let worst = difference(expected, &operation(&device)?)?;
            ensure!(worst <= tolerance, "differs by {worst}, may by {tolerance}");
            ensure!(Counters::now().dispatches > before, "nothing ran on the device");
            Ok(())
        };
        compare().unwrap_or_else(|error| panic!("{name}, seed {seed}: {error:?}"));
    }
}

fn check_all(name: &str, factor: f32, operation: impl Fn(&Device, DType) -> anyhow::Result<Tensor>) {
    for (dtype, tolerance) in DTYPES {
        check(&format!("{name} in {dtype:?}"), tolerance * factor, |device| operation(device, dtype));
    }
}

/// Values on a device.
fn on(device: &Device, shape: &[usize], dtype: DType, seed: u32) -> anyhow::Result<Tensor> {
    Ok(tensor(shape, dtype, seed)?.to_device(device)?)
}

#[test]
fn matmul() {
    check_all("matrix times matrix", 30.0, |d, t| {
        Ok(on(d, &[2, 37, 64], t, 1)?.matmul(&on(d, &[2, 64, 50], t, 2)?)?)
    });
    check_all("vector times matrix", 30.0, |d, t| {
        Ok(on(d, &[1, 576], t, 3)?.matmul(&on(d, &[192, 576], t, 4)?.t()?)?)
    });
}

#[test]
fn softmax() {
    check_all("softmax", 1.0, |d, t| Ok(candle_nn::ops::softmax_last_dim(&on(d, &[9, 200], t, 5)?)?));
}

#[test]
fn norms() {
    check_all("rms_norm", 1.0, |d, t| {
        Ok(candle_nn::ops::rms_norm(&on(d, &[4, 576], t, 6)?, &on(d, &[576], t, 7)?, 1e-5)?)
    });
    check_all("layer_norm", 1.0, |d, t| {
        let (weight, bias) = (on(d, &[576], t, 8)?, on(d, &[576], t, 9)?);
        Ok(candle_nn::ops::layer_norm(&on(d, &[4, 576], t, 10)?, &weight, &bias, 1e-5)?)
    });
}

#[test]
fn rope() {
    check_all("rope", 1.0, |d, t| {
        let (cos, sin) = (on(d, &[6, 32], t, 11)?, on(d, &[6, 32], t, 12)?);
        Ok(candle_nn::rotary_emb::rope(&on(d, &[1, 3, 6, 64], t, 13)?, &cos, &sin)?)
    });
}

#[test]
fn element_wise() {
    check_all("arithmetic with broadcasts", 1.0, |d, t| {
        let a = on(d, &[7, 33], t, 14)?;
        Ok(a.broadcast_mul(&on(d, &[33], t, 15)?)?.add(&a)?.affine(1.5, -0.25)?)
    });
    check_all("silu, exp and gelu", 4.0, |d, t| {
        let a = on(d, &[7, 33], t, 16)?;
        Ok((a.silu()? + a.exp()?.gelu()?)?.sqr()?)
    });
    check_all("comparison and selection", 0.0, |d, t| {
        let (a, b) = (on(d, &[6, 11], t, 17)?, on(d, &[6, 11], t, 18)?);
        Ok(a.gt(&b)?.where_cond(&a, &b)?)
    });
}

#[test]
fn layouts() {
    check_all("transposition", 0.0, |d, t| Ok(on(d, &[7, 33, 5], t, 19)?.transpose(0, 2)?.contiguous()?));
    check_all("concatenation", 0.0, |d, t| {
        Ok(Tensor::cat(&[&on(d, &[2, 3, 8], t, 20)?, &on(d, &[2, 4, 8], t, 21)?], 1)?)
    });
    check_all("casts", 0.0, |d, t| Ok(Tensor::arange(0u32, 77, d)?.to_dtype(t)?.to_dtype(DType::U8)?));
}

#[test]
fn indexing() {
    check_all("index_select", 0.0, |d, t| {
        Ok(on(d, &[50, 24], t, 23)?.index_select(&Tensor::new(&[3u32, 49, 0, 3], d)?, 0)?)
    });
    check_all("gather and scatter_add", 1.0, |d, t| {
        let a = on(d, &[4, 10], t, 24)?;
        let index = Tensor::new(&[[1u32, 9, 0], [2, 2, 3], [0, 1, 2], [9, 8, 7]], d)?;
        Ok(a.scatter_add(&index, &a.gather(&index, 1)?, 1)?)
    });
}

#[test]
fn reductions() {
    check_all("sum and max", 30.0, |d, t| {
        let a = on(d, &[9, 130], t, 25)?;
        Ok((a.sum_keepdim(D::Minus1)? + a.max_keepdim(D::Minus1)?)?)
    });
    check_all("argmax", 0.0, |d, t| Ok(on(d, &[9, 1300], t, 26)?.argmax(D::Minus1)?));
    check_all("sort", 0.0, |d, t| Ok(on(d, &[3, 100], t, 27)?.sort_last_dim(true)?.0));
}

#[test]
fn attention() {
    for (dtype, tolerance) in DTYPES {
        for (num_queries, num_keys) in [(1, 50), (1, 1500), (40, 40)] {
            let expected = naive_attention(num_queries, num_keys, dtype).expect("it is simple");
            let name = format!("attention of {num_queries} to {num_keys} in {dtype:?}");
            check_against(&name, tolerance, &expected, |d| {
                let (q, k) =
                    (on(d, &[1, 6, num_queries, 64], dtype, 28)?, on(d, &[1, 2, num_keys, 64], dtype, 29)?);
                let v = on(d, &[1, 2, num_keys, 64], dtype, 30)?;
                Ok(candle_nn::ops::sdpa(&q, &k, &v, None, num_queries > 1, 0.125, 1.0)?)
            });
        }
    }
}

fn naive_attention(num_queries: usize, num_keys: usize, dtype: DType) -> anyhow::Result<Tensor> {
    let cpu = &Device::Cpu;
    let wide = |shape: &[usize], seed| -> anyhow::Result<Tensor> {
        Ok(tensor(shape, dtype, seed)?.to_dtype(DType::F32)?)
    };
    let per_query_head = |x: Tensor| -> anyhow::Result<Tensor> {
        Ok(x.unsqueeze(2)?.expand((1, 2, 3, num_keys, 64))?.reshape((1, 6, num_keys, 64))?)
    };
    let q = wide(&[1, 6, num_queries, 64], 28)?;
    let k = per_query_head(wide(&[1, 2, num_keys, 64], 29)?)?;
    let v = per_query_head(wide(&[1, 2, num_keys, 64], 30)?)?;
    let mut scores = (q.matmul(&k.t()?.contiguous()?)? * 0.125)?;
    if num_queries > 1 {
        let is_hidden = |i: usize, j: usize| j > i + num_keys - num_queries;
        let mask = (0..num_queries * num_keys)
            .map(|at| if is_hidden(at / num_keys, at % num_keys) { f32::NEG_INFINITY } else { 0.0 });
        scores = scores.broadcast_add(&Tensor::from_iter(mask, cpu)?.reshape((num_queries, num_keys))?)?;
    }
    Ok(candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&v)?)
}

#[test]
fn quantized_matmul() {
    use GgmlDType::{Q4_0, Q4_1, Q4K, Q5_0, Q5K, Q6K, Q8_0};
    for format in [Q4_0, Q4_1, Q5_0, Q8_0, Q4K, Q5K, Q6K] {
        for rows in [1, 40] {
            // The reference multiplies the decoded weights: the device does not round its inputs.
            let weights = tensor(&[96, 512], DType::F32, 31).expect("there is room");
            let inputs = tensor(&[rows, 512], DType::F32, 32).expect("there is room");
            let decoded = QTensor::quantize(&weights, format).and_then(|w| w.dequantize(&Device::Cpu));
            let expected = decoded.and_then(|w| inputs.matmul(&w.t()?)).expect("it is simple");
            check_against(&format!("{format:?}, {rows} rows"), 0.15, &expected, |d| {
                let weights = QTensor::quantize(&weights.to_device(d)?, format)?;
                Ok(QMatMul::from_qtensor(weights)?.forward(&inputs.to_device(d)?)?)
            });
        }
    }
}
