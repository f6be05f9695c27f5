//! The CPU: every operation native, weights read from the map, computing in f32.

use candle_core::DType;

use super::{Backend, Support};
use crate::{ops::Op, parallel::Pool, simd::Isa};

/// The processor.
#[derive(Debug)]
pub struct Cpu {
    device: candle_core::Device,
}

impl Cpu {
    /// Opens the processor, which is always there.
    #[expect(clippy::new_without_default, reason = "opening a device is not a default value")]
    pub fn new() -> Self {
        Self { device: candle_core::Device::Cpu }
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

    fn support(&self, _op: Op) -> Support {
        Support::Native
    }
}
