//! An Apple GPU: every operation of decoders native, those of encoders composed; weights read from the map where Metal takes its pages.

use candle_core::DType;
#[cfg(feature = "metal")]
use candle_core::Tensor;

use super::{Backend, Memory, Support};
use crate::ops::{self, Op};
#[cfg(feature = "metal")]
use crate::{
    BackendError,
    metal::{Output, PlacedBytes},
};

/// Operations that have a Metal kernel of our own.
pub(crate) const NATIVE_OPS: &[Op] = &Op::OF_DECODERS;

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
        check(ordinal)?;
        Ok(Self { device: candle_core::Device::new_metal(ordinal)?, ordinal })
    }
}

/// Candle panics for a GPU that is not there.
#[cfg(feature = "metal")]
fn check(ordinal: usize) -> candle_core::Result<()> {
    let num_gpus = candle_metal_kernels::metal::Device::all().len();
    if ordinal >= num_gpus {
        candle_core::bail!("this machine has {num_gpus} Apple GPUs");
    }
    Ok(())
}

/// Candle refuses every GPU.
#[cfg(not(feature = "metal"))]
fn check(_ordinal: usize) -> candle_core::Result<()> {
    Ok(())
}

impl Backend for Metal {
    fn name(&self) -> String {
        match &self.device {
            #[cfg(feature = "metal")]
            candle_core::Device::Metal(device) => {
                format!("metal:{} ({})", self.ordinal, device.metal_device().architecture_name())
            }
            _ => format!("metal:{}", self.ordinal),
        }
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
        let weights = PlacedBytes::on(device);
        let allocated = device.metal_device().current_allocated_size() as u64;
        Memory {
            mapped_bytes: weights.mapped,
            shared_bytes: weights.copied,
            private_bytes: allocated.saturating_sub(weights.counted),
        }
    }

    /// In memory of the GPU's own; Candle's would be shared.
    #[cfg(feature = "metal")]
    fn zeros(&self, shape: &[usize], dtype: DType) -> Result<Tensor, BackendError> {
        match &self.device {
            candle_core::Device::Metal(device) => Ok(Output::zeros(device, shape, dtype)?.into_tensor()),
            other => Ok(Tensor::zeros(shape, dtype, other)?),
        }
    }

    #[cfg(not(feature = "metal"))]
    fn memory(&self) -> Memory {
        Memory::default()
    }
}
