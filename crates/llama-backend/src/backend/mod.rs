//! What differs per device beyond tensors. Models, cache and samplers hold a [`Backend`] and never ask which it is.

mod cpu;
pub(crate) mod cuda;
mod memory;
pub(crate) mod metal;

use std::fmt;

use candle_core::{DType, Tensor};
pub use cpu::Cpu;
pub use cuda::Cuda;
pub use memory::Memory;
pub use metal::Metal;

use crate::{
    BackendError,
    ops::Op,
    power::{self, PowerSensor},
    weight::{MappedTensor, Weight},
};

/// One opened device.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Name of the hardware and what its kernels use, for people.
    fn name(&self) -> String;
    /// The device of Candle's tensors.
    fn device(&self) -> &candle_core::Device;
    /// The dtypes that activations and cache may have here, the default first.
    fn compute_dtypes(&self) -> &'static [DType];
    /// How an operation runs here.
    fn support(&self, op: Op) -> Support;
    /// What it holds of this backend's weights, and of everything else where the device can tell.
    fn memory(&self) -> Memory;

    /// Opens what counts the energy that it uses: by default the processor's sensor.
    ///
    /// # Errors
    /// [`BackendError::PowerUnavailable`], with the reason.
    fn power_sensor(&self) -> Result<Box<dyn PowerSensor>, BackendError> {
        power::of_processor()
    }

    /// A stored weight, ready for the operations of this device; reads none of its bytes.
    fn place(&self, weight: MappedTensor, dtype: DType) -> Weight {
        Weight::new(weight, self.device(), dtype)
    }

    /// A tensor of zeros that only this device writes, such as a cache.
    ///
    /// # Errors
    /// Candle's, if the device has no memory for it.
    fn zeros(&self, shape: &[usize], dtype: DType) -> Result<Tensor, BackendError> {
        Ok(Tensor::zeros(shape, dtype, self.device())?)
    }

    /// Waits until everything submitted has run.
    ///
    /// # Errors
    /// Candle's, if the device failed.
    fn synchronize(&self) -> Result<(), BackendError> {
        Ok(self.device().synchronize()?)
    }
}

/// How a device runs an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// A kernel of our own.
    Native,
    /// The reference, composed of Candle's operations.
    Composed,
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Composed => "composed",
        })
    }
}

/// Every operation with the way `backend` runs it.
pub fn capabilities(backend: &dyn Backend) -> Vec<(Op, Support)> {
    Op::ALL.into_iter().map(|op| (op, backend.support(op))).collect()
}
