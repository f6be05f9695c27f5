//! An Apple GPU, through Candle: every operation composed until it has a kernel of its own here.

use candle_core::DType;

use super::{Backend, Memory, Support};
use crate::ops::{self, Op};

/// Operations that have a Metal kernel of our own.
pub(crate) const NATIVE_OPS: &[Op] = &[];

/// An Apple GPU.
#[derive(Debug)]
pub struct Metal {
    device: candle_core::Device,
    ordinal: usize,
}

impl Metal {
    /// Opens the GPU of this index.
    ///
    /// # Errors
    /// Candle's, if the feature `metal` is off or there is no such GPU.
    pub fn new(ordinal: usize) -> candle_core::Result<Self> {
        Ok(Self { device: candle_core::Device::new_metal(ordinal)?, ordinal })
    }
}

impl Backend for Metal {
    fn name(&self) -> String {
        format!("metal:{}", self.ordinal)
    }

    fn device(&self) -> &candle_core::Device {
        &self.device
    }

    fn compute_dtypes(&self) -> &'static [DType] {
        &[DType::F32, DType::F16, DType::BF16]
    }

    fn support(&self, op: Op) -> Support {
        ops::support(op, &self.device)
    }

    fn memory(&self) -> Memory {
        Memory::default()
    }
}
