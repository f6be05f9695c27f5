//! Against the reference, against themselves on every instruction set, and with values at the ends of the range.

use candle_core::{Device, Tensor};

use super::*;
use crate::{
    ops::{
        Kernels, Op, Path,
        linear::{
            Linear, linear,
            tests::{values, weight},
        },
        num_dispatches,
        rows::Rows,
    },
    parallel::{Pool, for_each_tile},
    simd::{Isa, Kernel, dispatch_on},
    weight::Weight,
};

const QUANTIZED: [WeightDtype; 7] = [
    WeightDtype::Q4_0,
    WeightDtype::Q4_1,
    WeightDtype::Q5_0,
    WeightDtype::Q8_0,
    WeightDtype::Q4K,
    WeightDtype::Q5K,
    WeightDtype::Q6K,
];

/// Lengths of a row that `dtype` can have: one block, less than a panel, more than one, more than two.
fn widths(dtype: WeightDtype) -> impl Iterator<Item = usize> {
    [32, 96, 256, 800, 1024, 2048].into_iter().filter(move |k| k % dtype.block_len() == 0)
}

fn run(x: &[f32], weight: &Weight, kernels: Kernels) -> Vec<f32> {
    let k = weight.cols();
    let x = Tensor::from_slice(x, (x.len() / k, k), &Device::Cpu).unwrap();
    let y = linear(&x, &Linear::from_weight(weight.clone()), kernels).unwrap();
    y.flatten_all().unwrap().to_vec1().unwrap()
}

/// Compares with the reference, which differs by roundings of the products that it adds.
fn check(x: &[f32], weight: &Weight) {
    let (fast, slow) = (run(x, weight, Kernels::Native), run(x, weight, Kernels::Reference));
    let k = weight.cols();
    let magnitudes = Tensor::from_slice(x, (x.len() / k, k), &Device::Cpu).unwrap().abs().unwrap();
    let magnitudes = magnitudes.matmul(&weight.tensor().unwrap().abs().unwrap().t().unwrap()).unwrap();
    let magnitudes = magnitudes.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (i, (fast, slow)) in fast.iter().zip(&slow).enumerate() {
        let error = (fast - slow).abs();
        let t = x.len() / k;
        let is_close = error <= 2e-6 * magnitudes[i];
        assert!(is_close, "{:?}, {t} rows, output {i}: {fast} {slow}", weight.mapped());
    }
}

#[test]
fn every_format_and_shape() {
    let before = num_dispatches(Op::Linear, Path::Cpu);
    let mut num_cases = 0;
    for dtype in QUANTIZED {
        for k in widths(dtype) {
            for n in [1, 13, 16, 17, 50, 97] {
                let weight = weight(dtype, n, k);
                for t in [1, 2, 3, 4, 5, 6, 7, 12, 17] {
                    check(&values(t * k, 5 + t as u32), &weight);
                    num_cases += 1;
                }
            }
        }
    }
    assert!(num_dispatches(Op::Linear, Path::Cpu) >= before + num_cases);
}

struct OnTile<'a> {
    x: QuantizedRows<'a>,
    weight: &'a Weight,
    tile: TileMut<'a>,
}

impl Kernel for OnTile<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: ByteLanes>(mut self, simd: S) {
        let weight = (self.weight.mapped(), self.tile.cols.clone());
        weight_tile(simd, self.x, weight, (&mut self.tile, 0));
    }
}

/// Bits of the product on one instruction set, in tiles of `tile_cols`.
fn bits(isa: Isa, x: &Tensor, weight: &Weight, tile_cols: usize) -> Vec<u32> {
    let (storage, layout) = x.storage_and_layout();
    let candle_core::Storage::Cpu(storage) = &*storage else { panic!("made on the CPU") };
    let rows = Rows::new("test", storage, layout).unwrap();
    let mut blocks = Vec::new();
    let x = QuantizedRows::new(&rows, &mut blocks);
    let shape = (rows.len(), weight.rows());
    let mut y = vec![0.0; shape.0 * shape.1];
    for_each_tile(&Pool::new(1), &mut y, shape, (shape.0, tile_cols), &|tile| {
        dispatch_on(isa, OnTile { x, weight, tile });
    });
    y.into_iter().map(f32::to_bits).collect()
}

#[test]
fn all_sets_and_tiles_give_the_same_bits() {
    for dtype in QUANTIZED {
        for (t, n, k) in [(1, 50, 256), (1, 7, 1024), (9, 50, 256), (3, 97, 1024)] {
            let weight = weight(dtype, n, k);
            let x = Tensor::from_vec(values(t * k, 3), (t, k), &Device::Cpu).unwrap();
            let expected = bits(Isa::Portable, &x, &weight, n);
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
                for tile_cols in [n, 48, 5] {
                    let found = bits(isa, &x, &weight, tile_cols);
                    assert!(found == expected, "{dtype} {isa} {t} rows, tiles of {tile_cols}");
                }
            }
        }
    }
}

#[test]
fn values_at_the_ends_of_the_range() {
    for dtype in QUANTIZED {
        let weight = weight(dtype, 20, 512);
        for t in [1, 5] {
            let with = |at: usize, value: f32| {
                let mut x = values(t * 512, 9);
                x[at] = value;
                x
            };
            check(&vec![0.0; t * 512], &weight);
            check(&with(40, 1e30), &weight);
            check(&with(511, -1e30), &weight);
            check(&values(t * 512, 9).iter().map(|x| x * 1e-39).collect::<Vec<_>>(), &weight);
            check(&values(t * 512, 9).iter().map(|x| x * 1e-30).collect::<Vec<_>>(), &weight);
        }
    }
}

#[test]
fn what_is_not_finite_reaches_its_row_and_no_other() {
    for dtype in QUANTIZED {
        let weight = weight(dtype, 20, 512);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for (t, row) in [(1, 0), (5, 3)] {
                let mut x = values(t * 512, 9);
                x[row * 512 + 77] = value;
                for kernels in [Kernels::Native, Kernels::Reference] {
                    let y = run(&x, &weight, kernels);
                    for (i, y) in y.chunks(20).enumerate() {
                        assert!(y.iter().all(|y| y.is_nan() == (i == row)), "{dtype} {kernels:?} row {i}");
                    }
                }
            }
        }
    }
}
