//! What holds on a Metal device beyond the results of single operations. Needs the feature `metal` and a device.
#![cfg(feature = "metal")]

use std::sync::Arc;

use candle_core::{DType, Tensor};
use llama_backend::{
    Backend, Device, Memory, Support, capabilities,
    ops::{Kernels, embed::embed, kv_write::Slots, kv_write::kv_write, residual::residual},
    weight::{ByteOwner, MappedTensor, Weight, WeightDtype},
};

fn backend() -> Arc<dyn Backend> {
    Device::Metal(0).backend().expect("a build with the feature runs on a machine with a device")
}

/// A table of four rows of eight, values counting up, behind `skew` bytes that are no part of it.
fn table(backend: &dyn Backend, skew: usize) -> Weight {
    let values = (0..32).flat_map(|i| (i as f32).to_le_bytes());
    let bytes: Vec<u8> = std::iter::repeat_n(0, skew).chain(values).collect();
    let range = skew..bytes.len();
    let owner: ByteOwner = Arc::new(bytes);
    let tensor = MappedTensor::new("table", WeightDtype::F32, &[4, 8], owner, range);
    backend.place(tensor.expect("the range holds the table"), DType::F32)
}

fn weight_bytes(backend: &dyn Backend) -> (u64, u64) {
    let Memory { mapped_bytes, shared_bytes, .. } = backend.memory();
    (mapped_bytes, shared_bytes)
}

#[test]
fn every_operation_is_native() {
    for (op, support) in capabilities(&*backend()) {
        assert_eq!(support, Support::Native, "{op}");
    }
}

#[test]
fn weights_are_read_in_place_unless_their_address_does_not_suit_their_format() {
    for (skew, expected) in [(0, (128, 0)), (4, (128, 0)), (3, (0, 128))] {
        let backend = backend();
        let table = table(&*backend, skew);
        assert_eq!(weight_bytes(&*backend), (0, 0), "nothing is placed before it is used");
        let rows = embed(&[3, 0], &table, Kernels::Native).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(rows[0][..2], [24.0, 25.0]);
        assert_eq!(rows[1][..2], [0.0, 1.0]);
        assert_eq!(weight_bytes(&*backend), expected, "skew {skew}");
        drop(table);
        assert_eq!(weight_bytes(&*backend), (0, 0), "skew {skew}");
    }
}

#[test]
fn what_is_no_weight_is_counted_apart() {
    let backend = backend();
    let table = table(&*backend, 0);
    embed(&[0], &table, Kernels::Native).unwrap();
    let cache = backend.zeros(&[1 << 18], DType::F32).unwrap();
    assert!(backend.memory().private_bytes >= 1 << 20); // other tests of this process may have some, too
    assert_eq!(weight_bytes(&*backend), (128, 0));
    drop(cache);
}

#[test]
fn a_weight_may_go_while_work_is_under_way() {
    let backend = backend();
    let table = table(&*backend, 0);
    let rows = embed(&[1, 2], &table, Kernels::Native).unwrap();
    drop(table);
    assert_eq!(rows.to_vec2::<f32>().unwrap()[1][0], 16.0);
}

#[test]
fn dispatches_run_after_those_whose_results_they_read() {
    let backend = backend();
    let mut x = Tensor::ones((3, 5), DType::F32, backend.device()).unwrap();
    for _ in 0..10 {
        x = residual(&x, &x, Kernels::Native).unwrap();
    }
    assert_eq!(x.to_vec2::<f32>().unwrap(), [[1024.0; 5]; 3]);
}

#[test]
fn the_cache_is_written_in_order_and_in_place() {
    let backend = backend();
    let cache = backend.zeros(&[4, 1, 2], DType::F16).unwrap();
    for value in [1f32, 2.0, 3.0] {
        let rows = Tensor::full(value, (2, 1, 2), backend.device()).unwrap();
        kv_write(&cache, &rows, &Slots::new(vec![3, 1]), Kernels::Native).unwrap();
    }
    let written = cache.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(written, [0.0, 0.0, 3.0, 3.0, 0.0, 0.0, 3.0, 3.0]);
}
