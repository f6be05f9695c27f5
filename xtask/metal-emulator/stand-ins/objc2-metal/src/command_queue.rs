//! `MTLCommandQueue`.

use std::sync::Arc;

use metal_emulator::Queue;
use objc2::runtime::{self, Object, ProtocolObject};
use objc2_foundation::NSString;

use crate::{MTLCommandBuffer, MTLDevice, MTLResidencySet, Shared};

/// Command buffers in the order in which they were committed.
pub trait MTLCommandQueue: Object {
    /// Begins a command buffer.
    fn commandBuffer(&self) -> Option<Shared<dyn MTLCommandBuffer>> {
        Some(ProtocolObject::of(runtime::shared::<Queue>(self).commands()))
    }

    /// Makes memory resident.
    fn addResidencySet(&self, _set: &ProtocolObject<dyn MTLResidencySet>) {}

    /// Its device.
    fn device(&self) -> Shared<dyn MTLDevice> {
        ProtocolObject::of(Arc::clone(runtime::class::<Queue>(self).device()))
    }

    /// Names it.
    fn setLabel(&self, _label: Option<&NSString>) {}
}

impl MTLCommandQueue for ProtocolObject<dyn MTLCommandQueue> {}
