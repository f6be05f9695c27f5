//! An Apple GPU: every operation native, weights read from the map where Metal takes its pages.

use candle_core::DType;

use super::{Backend, Memory, Support};
#[cfg(feature = "metal")]
use crate::metal::placed_bytes;
use crate::ops::{self, Op};

/// Operations that have a Metal kernel of our own.
pub(crate) const NATIVE_OPS: &[Op] = &Op::ALL;

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

    /// Bytes of weights are those that were used; `private_bytes` is all else that the device has allocated: cache,
    /// activations, what a step uploads, and Candle's pool.
    #[cfg(feature = "metal")]
    fn memory(&self) -> Memory {
        let candle_core::Device::Metal(device) = &self.device else { return Memory::default() };
        let (mapped_bytes, shared_bytes) = placed_bytes(device);
        let allocated = device.metal_device().current_allocated_size() as u64;
        Memory {
            mapped_bytes,
            shared_bytes,
            private_bytes: allocated.saturating_sub(mapped_bytes + shared_bytes),
        }
    }

    #[cfg(not(feature = "metal"))]
    fn memory(&self) -> Memory {
        Memory::default()
    }
}
