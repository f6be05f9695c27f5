//! What a device's work costs in energy, as its own sensor counts it.
//!
//! A [`PowerSensor`] is a counter of joules. Where there is none, or none that this process may read, the answer is an
//! error that says why: no energy is ever reported as zero because nobody measured it. Sensors count a whole device
//! with everything that runs on it, this process or another.

#[cfg(all(feature = "metal", target_os = "macos"))]
mod io_report;
#[cfg(feature = "nvml")]
mod nvml;
mod rapl;

use std::fmt;

#[cfg(all(feature = "metal", target_os = "macos"))]
pub use io_report::IoReport;
#[cfg(feature = "nvml")]
pub use nvml::{Nvml, PciAddress};
pub use rapl::Rapl;

use crate::BackendError;

/// A counter of energy. It is read on the thread that opened it.
pub trait PowerSensor: fmt::Debug {
    /// Who counts.
    fn source(&self) -> PowerSource;

    /// Joules since the sensor was opened; never falls.
    ///
    /// # Errors
    /// [`BackendError::PowerUnavailable`] if the counter cannot be read any more.
    fn joules(&mut self) -> Result<f64, BackendError>;
}

/// Who counts energy, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PowerSource {
    /// Apple's IOReport: processor, GPU and memory of the chip.
    Metal,
    /// NVIDIA's management library: one GPU with its board.
    Nvml,
    /// Running average power limit, of Intel's and AMD's processors: all sockets, without the memory.
    Rapl,
}

impl PowerSource {
    /// `metal`, `nvml` or `rapl`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metal => "metal",
            Self::Nvml => "nvml",
            Self::Rapl => "rapl",
        }
    }
}

impl fmt::Display for PowerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The sensor of the processor, or of the chip that it is a part of.
///
/// # Errors
/// [`BackendError::PowerUnavailable`], with the reason.
pub(crate) fn of_processor() -> Result<Box<dyn PowerSensor>, BackendError> {
    #[cfg(all(feature = "metal", target_os = "macos"))]
    return Ok(Box::new(IoReport::open()?));
    #[cfg(all(not(feature = "metal"), target_os = "macos"))]
    return Err(unavailable("this build lacks the feature metal, which reads Apple's counters"));
    #[cfg(not(target_os = "macos"))]
    return Ok(Box::new(Rapl::open(Rapl::ROOT)?));
}

pub(crate) fn unavailable(reason: impl Into<String>) -> BackendError {
    BackendError::PowerUnavailable { reason: reason.into() }
}
