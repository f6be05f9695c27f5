//! An NVIDIA GPU: every operation of decoders has a kernel of its own, compiled at run time; large products are cuBLAS's.

use candle_core::DType;

use super::{Backend, Memory, Support};
use crate::ops::{self, Op};
#[cfg(feature = "cuda")]
use crate::{
    BackendError,
    power::{self, PowerSensor},
};

/// Operations that have a CUDA kernel of our own.
pub(crate) const NATIVE_OPS: &[Op] = if cfg!(feature = "cuda") { &Op::OF_DECODERS } else { &[] };

/// An NVIDIA GPU of compute capability 8.0 or more.
#[derive(Debug)]
pub struct Cuda {
    device: candle_core::Device,
    ordinal: usize,
    hardware: String,
}

impl Cuda {
    /// Opens the GPU of this index.
    ///
    /// # Errors
    /// Candle's, if the feature `cuda` is off, there is no such GPU, or it is older than the kernels.
    #[cfg(feature = "cuda")]
    pub fn new(ordinal: usize) -> candle_core::Result<Self> {
        let device = crate::cuda::open(ordinal)?;
        let (name, num_bytes) = crate::cuda::describe(&device)?;
        let hardware = format!("{name}, {} GiB", num_bytes >> 30);
        Ok(Self { device: candle_core::Device::Cuda(device), ordinal, hardware })
    }

    /// Fails: this build has no CUDA.
    ///
    /// # Errors
    /// Candle's, always.
    #[cfg(not(feature = "cuda"))]
    pub fn new(ordinal: usize) -> candle_core::Result<Self> {
        let device = candle_core::Device::new_cuda(ordinal)?;
        Ok(Self { device, ordinal, hardware: String::new() })
    }

    #[cfg(feature = "cuda")]
    fn used_bytes(&self) -> u64 {
        let used_bytes = self.device.as_cuda_device().and_then(crate::cuda::used_bytes);
        // A driver that does not answer fails the next operation anyway.
        used_bytes.unwrap_or(0)
    }

    #[cfg(not(feature = "cuda"))]
    fn used_bytes(&self) -> u64 {
        0
    }
}

impl Backend for Cuda {
    fn name(&self) -> String {
        format!("cuda:{} ({})", self.ordinal, self.hardware)
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
        Memory { private_bytes: self.used_bytes(), ..Memory::default() }
    }

    #[cfg(feature = "cuda")]
    fn power_sensor(&self) -> Result<Box<dyn PowerSensor>, BackendError> {
        let address = self.device.as_cuda_device().and_then(crate::cuda::pci_address)?;
        Ok(Box::new(power::Nvml::open(address)?))
    }
}
