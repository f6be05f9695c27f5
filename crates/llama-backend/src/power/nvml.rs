//! NVIDIA's management library, which comes with the driver and is loaded when it is first asked for.

use std::{fmt, time::Instant};

use nvml_wrapper::error::NvmlError;

use super::{PowerSensor, PowerSource, unavailable};
use crate::BackendError;

/// Where a GPU sits. CUDA and the management library number GPUs differently; this names the same one in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciAddress {
    /// Domain.
    pub domain: u32,
    /// Bus.
    pub bus: u32,
    /// Device on it.
    pub device: u32,
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}:{:02x}:{:02x}.0", self.domain, self.bus, self.device)
    }
}

/// One GPU with its board.
pub struct Nvml {
    library: nvml_wrapper::Nvml,
    address: PciAddress,
    counter: Counter,
}

/// How the GPU tells what it uses.
#[derive(Clone, Copy, Debug)]
enum Counter {
    /// By a counter of millijoules, since the driver was loaded: this much before the sensor was opened.
    Energy { first_mj: u64 },
    /// By the power of the moment alone, as before Volta: summed as a trapezoid between two looks.
    Power { joules: f64, last_watts: f64, last_look: Instant },
}

impl Nvml {
    /// Opens the GPU at this address.
    ///
    /// # Errors
    /// [`BackendError::PowerUnavailable`] if the library or the GPU is missing, or the GPU tells nothing.
    pub fn open(address: PciAddress) -> Result<Self, BackendError> {
        let library = nvml_wrapper::Nvml::init().map_err(failed)?;
        let device = library.device_by_pci_bus_id(address.to_string()).map_err(failed)?;
        let counter = match device.total_energy_consumption() {
            Ok(first_mj) => Counter::Energy { first_mj },
            Err(_) => {
                let last_watts = device.power_usage().map_err(failed)? as f64 / 1e3;
                Counter::Power { joules: 0.0, last_watts, last_look: Instant::now() }
            }
        };
        Ok(Self { library, address, counter })
    }
}

impl PowerSensor for Nvml {
    fn source(&self) -> PowerSource {
        PowerSource::Nvml
    }

    fn joules(&mut self) -> Result<f64, BackendError> {
        let device = self.library.device_by_pci_bus_id(self.address.to_string()).map_err(failed)?;
        match &mut self.counter {
            Counter::Energy { first_mj } => {
                let now_mj = device.total_energy_consumption().map_err(failed)?;
                Ok(now_mj.saturating_sub(*first_mj) as f64 / 1e3)
            }
            Counter::Power { joules, last_watts, last_look } => {
                let (watts, look) = (device.power_usage().map_err(failed)? as f64 / 1e3, Instant::now());
                *joules += 0.5 * (*last_watts + watts) * (look - *last_look).as_secs_f64();
                (*last_watts, *last_look) = (watts, look);
                Ok(*joules)
            }
        }
    }
}

impl fmt::Debug for Nvml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nvml").field("address", &self.address).field("counter", &self.counter).finish()
    }
}

fn failed(error: NvmlError) -> BackendError {
    unavailable(format!("NVML: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_library_wants_them() {
        let address = PciAddress { domain: 0, bus: 0xaf, device: 1 };
        assert_eq!(address.to_string(), "00000000:af:01.0");
    }

    #[test]
    fn a_gpu_that_is_not_there_is_no_sensor() {
        let nowhere = PciAddress { domain: 0xffff, bus: 0xff, device: 0x1f };
        let error = Nvml::open(nowhere).unwrap_err().to_string();
        assert!(error.starts_with("no power sensor: NVML: "), "{error}");
    }
}
