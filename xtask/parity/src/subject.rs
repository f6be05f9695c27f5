//! The device under test, and what the reference needs beside it.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use candle_core::{DType, Device, Tensor};
use llama_backend::{
    Backend, Support,
    ops::{Op, Path, num_dispatches},
    parallel::Pool,
    weight::{MappedTensor, Weight, WeightDtype, decode_row},
};

use crate::fill::Fill;

/// Values that share an offset, in the formats that have one.
const OFFSET_BLOCK_LEN: usize = 32;

/// One opened device.
pub(crate) struct Subject {
    backend: Arc<dyn Backend>,
    dispatches: RefCell<BTreeMap<String, u64>>,
}

impl Subject {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, dispatches: RefCell::default() }
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    pub(crate) fn is_cpu(&self) -> bool {
        self.backend.device().is_cpu()
    }

    /// The path that an operation must take here.
    pub(crate) fn expected_path(&self, op: Op) -> Path {
        match (self.backend.support(op), self.backend.device()) {
            (Support::Composed, _) => Path::Reference,
            (Support::Native, Device::Cpu) => Path::Cpu,
            (Support::Native, Device::Metal(_)) => Path::Metal,
            (Support::Native, Device::Cuda(_)) => Path::Cuda,
        }
    }

    /// Computes on the device, counting dispatches.
    pub(crate) fn watch<T, E>(&self, compute: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let before = counts();
        let computed = compute();
        let mut dispatches = self.dispatches.borrow_mut();
        for ((op, path, before), (_, _, after)) in before.into_iter().zip(counts()) {
            if after > before {
                *dispatches.entry(format!("{op}/{path}")).or_default() += after - before;
            }
        }
        computed
    }

    /// Dispatches since the last call, as `operation/path`.
    pub(crate) fn take_dispatches(&self) -> BTreeMap<String, u64> {
        self.dispatches.take()
    }

    /// A tensor on the device.
    ///
    /// # Shapes
    /// `shape`: of as many elements as there are `values`.
    pub(crate) fn tensor(
        &self,
        values: &[f32],
        shape: &[usize],
        dtype: DType,
    ) -> candle_core::Result<Tensor> {
        Tensor::from_slice(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(self.backend.device())
    }

    /// The same stored weight for the device, computing in `dtype`.
    pub(crate) fn place(&self, weight: &MappedTensor, dtype: DType) -> Weight {
        self.backend.place(weight.clone(), dtype)
    }
}

fn counts() -> Vec<(Op, Path, u64)> {
    let pairs = Op::ALL.into_iter().flat_map(|op| Path::ALL.into_iter().map(move |path| (op, path)));
    pairs.map(|(op, path)| (op, path, num_dispatches(op, path))).collect()
}

/// A stored weight of random values.
///
/// # Shapes
/// Result: `[rows, cols]`
pub(crate) fn stored(
    fill: Fill,
    stream: u32,
    dtype: WeightDtype,
    (rows, cols): (usize, usize),
) -> anyhow::Result<MappedTensor> {
    let values = fill.values(rows * cols, stream, DType::F32);
    let dense = dense(&values, (rows, cols))?;
    Ok(if dtype == WeightDtype::F32 { dense } else { dense.converted(dtype, Pool::global())? })
}

/// The same weight with the sizes of what it is computed from: the absolute values, and where a block's values are multiples and an offset, which may
/// cancel, those of both.
pub(crate) fn absolute(weight: &MappedTensor) -> anyhow::Result<MappedTensor> {
    let mut values = decoded(weight);
    values.iter_mut().for_each(|value| *value = value.abs());
    if matches!(weight.dtype(), WeightDtype::Q4_1 | WeightDtype::Q4K | WeightDtype::Q5K) {
        for block in values.chunks_mut(OFFSET_BLOCK_LEN) {
            // The offset is the least value, and so is one of them.
            let offset = block.iter().copied().fold(0.0, f32::max);
            block.iter_mut().for_each(|value| *value += 2.0 * offset);
        }
    }
    dense(&values, (weight.rows(), weight.cols()))
}

/// The values of a weight.
pub(crate) fn decoded(weight: &MappedTensor) -> Vec<f32> {
    let mut values = vec![0.0; weight.rows() * weight.cols()];
    decode_row(weight.dtype(), weight.bytes(), &mut values);
    values
}

fn dense(values: &[f32], (rows, cols): (usize, usize)) -> anyhow::Result<MappedTensor> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let len = bytes.len();
    Ok(MappedTensor::new("random", WeightDtype::F32, &[rows, cols], Arc::new(bytes), 0..len)?)
}

/// A stored weight for the reference: on the CPU, in f32.
pub(crate) fn on_cpu(weight: &MappedTensor) -> Weight {
    Weight::new(weight.clone(), &Device::Cpu, DType::F32)
}

/// A tensor for the reference: on the CPU, in f32.
pub(crate) fn cpu_tensor(values: &[f32], shape: &[usize]) -> candle_core::Result<Tensor> {
    Tensor::from_slice(values, shape, &Device::Cpu)
}

/// All values of a tensor of any device and dtype, row by row.
pub(crate) fn read(tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}
