//! The CPU: every operation native, weights read from the map, computing in f32.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::DType;

use super::{Backend, Memory, Support};
use crate::{
    ops::{self, Op},
    parallel::Pool,
    simd::Isa,
    weight::{MappedTensor, Weight},
};

/// The processor.
#[derive(Debug)]
pub struct Cpu {
    device: candle_core::Device,
    mapped_bytes: AtomicU64,
}

impl Cpu {
    /// Opens the processor, which is always there.
    #[expect(clippy::new_without_default, reason = "opening a device is not a default value")]
    pub fn new() -> Self {
        Self { device: candle_core::Device::Cpu, mapped_bytes: AtomicU64::new(0) }
    }
}

impl Backend for Cpu {
    fn name(&self) -> String {
        let pool = Pool::global();
        format!("cpu ({}, {} threads on processors: {})", Isa::detect(), pool.num_threads(), pool.affinity())
    }

    fn device(&self) -> &candle_core::Device {
        &self.device
    }

    fn compute_dtypes(&self) -> &'static [DType] {
        &[DType::F32]
    }

    fn support(&self, op: Op) -> Support {
        ops::support(op, &self.device)
    }

    fn memory(&self) -> Memory {
        Memory { mapped_bytes: self.mapped_bytes.load(Ordering::Relaxed), ..Memory::default() }
    }

    fn place(&self, weight: MappedTensor, dtype: DType) -> Weight {
        self.mapped_bytes.fetch_add(weight.bytes().len() as u64, Ordering::Relaxed);
        Weight::new(weight, &self.device, dtype)
    }
}
