//! Where the rows of a step go in the cache.

use candle_core::{Device, Tensor};

use crate::{BackendError, ops::on_device::OnDevice};

/// Slots of the cache, one per row; no two are equal. All layers of a step share them.
#[derive(Clone, Debug)]
pub struct Slots {
    slots: Vec<u32>,
    tensor: OnDevice<Tensor>,
}

impl Slots {
    /// Row `i` goes to slot `slots[i]`.
    pub fn new(slots: Vec<u32>) -> Self {
        Self { slots, tensor: OnDevice::default() }
    }

    /// On the host.
    pub fn as_slice(&self) -> &[u32] {
        &self.slots
    }

    /// On the device, uploaded once.
    ///
    /// # Shapes
    /// `[t]`
    pub(super) fn tensor(&self, device: &Device) -> Result<Tensor, BackendError> {
        self.tensor.or_make(device, || Ok(Tensor::new(self.as_slice(), device)?)) // [t]
    }
}
