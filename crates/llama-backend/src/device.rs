//! The device switch: a name that users write, resolved once to a [`Backend`].

use std::{fmt, str::FromStr, sync::Arc};

use crate::{
    BackendError,
    backend::{Backend, Cpu, Cuda, Metal},
};

/// Where tensors live and operations run. Written `cpu`, `metal`, `metal:1`, `cuda` or `cuda:1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// The processor, with kernels of our own.
    #[default]
    Cpu,
    /// An Apple GPU, by index. Needs the feature `metal`.
    Metal(usize),
    /// An NVIDIA GPU, by index. Needs the feature `cuda`.
    Cuda(usize),
}

impl Device {
    /// The first device that this build and this machine have, in the order Metal, CUDA, CPU.
    pub fn auto() -> Self {
        [Self::Metal(0), Self::Cuda(0)]
            .into_iter()
            .find(|device| device.backend().is_ok())
            .unwrap_or(Self::Cpu)
    }

    /// Every device that this build and this machine have, the CPU first.
    pub fn available() -> Vec<Self> {
        let gpus = [Self::Metal as fn(usize) -> Self, Self::Cuda]
            .into_iter()
            .flat_map(|of_kind| (0..).map(of_kind).take_while(|device| device.backend().is_ok()));
        std::iter::once(Self::Cpu).chain(gpus).collect()
    }

    /// Opens the device.
    ///
    /// # Errors
    /// [`BackendError::DeviceUnavailable`] if this build or this machine lacks it.
    pub fn backend(self) -> Result<Arc<dyn Backend>, BackendError> {
        let unavailable = |reason: candle_core::Error| BackendError::DeviceUnavailable {
            device: self.to_string(),
            reason: reason.to_string(),
        };
        Ok(match self {
            Self::Cpu => Arc::new(Cpu::new()),
            Self::Metal(ordinal) => Arc::new(Metal::new(ordinal).map_err(unavailable)?),
            Self::Cuda(ordinal) => Arc::new(Cuda::new(ordinal).map_err(unavailable)?),
        })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Metal(ordinal) => write!(f, "metal:{ordinal}"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl FromStr for Device {
    type Err = BackendError;

    fn from_str(name: &str) -> Result<Self, BackendError> {
        let (kind, ordinal) = name.split_once(':').unwrap_or((name, "0"));
        match (kind, ordinal.parse(), name) {
            (_, _, "cpu") => Ok(Self::Cpu),
            (_, _, "auto") => Ok(Self::auto()),
            ("metal", Ok(ordinal), _) => Ok(Self::Metal(ordinal)),
            ("cuda", Ok(ordinal), _) => Ok(Self::Cuda(ordinal)),
            _ => Err(BackendError::DeviceUnavailable {
                device: name.to_owned(),
                reason: "expected auto, cpu, metal, metal:N, cuda or cuda:N".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for device in [Device::Cpu, Device::Metal(0), Device::Cuda(3)] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("metal".parse::<Device>().unwrap(), Device::Metal(0));
    }

    #[test]
    fn unknown_names_say_what_is_known() {
        for name in ["", "gpu", "cuda:x", "cpu:1"] {
            let error = name.parse::<Device>().unwrap_err().to_string();
            assert!(error.contains("expected auto, cpu, metal"), "{error}");
        }
    }

    #[test]
    #[cfg(not(any(feature = "metal", feature = "cuda")))]
    fn a_build_without_gpus_refuses_them_and_chooses_the_cpu() {
        assert_eq!(Device::auto(), Device::Cpu);
        assert_eq!(Device::available(), [Device::Cpu]);
        assert!(Device::Metal(0).backend().is_err());
        assert!(Device::Cuda(0).backend().is_err());
    }
}
