//! Apple's IOReport: the counters that `powermetrics` shows, which need no root when asked directly.
//!
//! Counted are the processor's and the GPU's energy and that of the memory, over all dies of the chip, as the driver
//! names them in its group "Energy Model" (known from macmon, which subscribes to it here). The counters are
//! Apple's estimates. On some systems they stand still; whoever reads them has to notice.

use std::fmt;

use macmon::sources::{IOReport, IOReportIteratorItem, cfio_integer_value};

use super::{PowerSensor, PowerSource, unavailable};
use crate::BackendError;

/// The chip.
pub struct IoReport {
    report: IOReport,
    joules: f64,
}

impl IoReport {
    /// Subscribes to the counters.
    ///
    /// # Errors
    /// [`BackendError::PowerUnavailable`] where there are none, as in a virtual machine.
    pub fn open() -> Result<Self, BackendError> {
        let report = IOReport::new(vec![("Energy Model", None)]);
        let report = report.map_err(|error| unavailable(format!("IOReport: {error}")))?;
        let mut sensor = Self { report, joules: 0.0 };
        let num_counters = sensor.advance();
        if num_counters == 0 {
            return Err(unavailable("IOReport: no counter of processor, GPU or memory"));
        }
        sensor.joules = 0.0;
        Ok(sensor)
    }

    /// Adds what was used since the last look; says how many counters there were.
    fn advance(&mut self) -> usize {
        let mut num_counters = 0;
        // A sample over no time is the difference to the one before.
        for (items, _) in self.report.get_samples(0, 1) {
            for joules in items.filter_map(|item| joules(&item)) {
                self.joules += joules;
                num_counters += 1;
            }
        }
        num_counters
    }
}

impl PowerSensor for IoReport {
    fn source(&self) -> PowerSource {
        PowerSource::Metal
    }

    fn joules(&mut self) -> Result<f64, BackendError> {
        match self.advance() {
            0 => Err(unavailable("IOReport: its counters have gone")),
            _ => Ok(self.joules),
        }
    }
}

impl fmt::Debug for IoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoReport").field("joules", &self.joules).finish_non_exhaustive()
    }
}

/// What one counter has gained; `None` for those that are parts of others, or of something else.
fn joules(item: &IOReportIteratorItem) -> Option<f64> {
    let unit = match item.unit.as_str() {
        "mJ" => 1e-3,
        "uJ" => 1e-6,
        "nJ" => 1e-9,
        _ => return None,
    };
    is_counted(&item.channel).then(|| cfio_integer_value(item.item).max(0) as f64 * unit)
}

/// Processor and GPU as a whole, not core by core, and memory; chips of several dies put `DIE_0_` in front.
fn is_counted(channel: &str) -> bool {
    channel.ends_with("CPU Energy")
        || channel == "GPU Energy"
        || channel.starts_with("GPU SRAM")
        || channel.starts_with("DRAM")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_counted_and_their_parts_are_not() {
        for channel in ["CPU Energy", "DIE_1_CPU Energy", "GPU Energy", "GPU SRAM0", "DRAM0"] {
            assert!(is_counted(channel), "{channel}");
        }
        for channel in ["ECPU0", "PCPU", "ANE", "DISP", "EACC_CPU"] {
            assert!(!is_counted(channel), "{channel}");
        }
    }
}
