//! What every layer of a step needs on the device, made once from the host's data.

use std::{fmt, sync::OnceLock};

use candle_core::{Device, DeviceLocation};

use crate::BackendError;

/// Made on first use, for the device that asked first; another device gets its own, which is not kept.
#[derive(Clone)]
pub(in crate::ops) struct OnDevice<T>(OnceLock<(DeviceLocation, T)>);

impl<T: Clone> OnDevice<T> {
    /// What `make` makes, or made before.
    pub(in crate::ops) fn or_make(
        &self,
        device: &Device,
        make: impl FnOnce() -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        match self.0.get() {
            Some((location, made)) if *location == device.location() => Ok(made.clone()),
            _ => {
                let made = make()?;
                let _ = self.0.set((device.location(), made.clone()));
                Ok(made)
            }
        }
    }
}

impl<T> Default for OnDevice<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> fmt::Debug for OnDevice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "on the device" } else { "not on a device" })
    }
}
