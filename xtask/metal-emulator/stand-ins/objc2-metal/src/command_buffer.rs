//! `MTLCommandBuffer`.

use std::ptr::NonNull;
use std::sync::Arc;

use block2::Block;
use metal_emulator::{CommandBuffer, DispatchType, Status};
use objc2::rc::Retained;
use objc2::runtime::{self, Object, ProtocolObject};
use objc2_foundation::{NSError, NSString};

use crate::{
    MTLBlitCommandEncoder, MTLCommandBufferStatus, MTLComputeCommandEncoder, MTLDevice, MTLDispatchType,
    Shared,
};

/// What is called when commands have ended.
pub type MTLCommandBufferHandler = *mut Block<dyn Fn(NonNull<ProtocolObject<dyn MTLCommandBuffer>>)>;

/// Commands that run together.
pub trait MTLCommandBuffer: Object {
    /// Begins to record dispatches.
    fn computeCommandEncoderWithDispatchType(
        &self,
        dispatch_type: MTLDispatchType,
    ) -> Option<Shared<dyn MTLComputeCommandEncoder>> {
        let is_serial = dispatch_type == MTLDispatchType::Serial;
        let dispatch_type = if is_serial { DispatchType::Serial } else { DispatchType::Concurrent };
        Some(ProtocolObject::of(runtime::shared::<CommandBuffer>(self).compute_encoder(dispatch_type)))
    }

    /// Begins to record dispatches that wait for each other.
    fn computeCommandEncoder(&self) -> Option<Shared<dyn MTLComputeCommandEncoder>> {
        self.computeCommandEncoderWithDispatchType(MTLDispatchType::Serial)
    }

    /// Begins to record copies and fills.
    fn blitCommandEncoder(&self) -> Option<Shared<dyn MTLBlitCommandEncoder>> {
        Some(ProtocolObject::of(runtime::shared::<CommandBuffer>(self).blit_encoder()))
    }

    /// Lets the commands run.
    fn commit(&self) {
        runtime::shared::<CommandBuffer>(self).commit();
    }

    /// Reserves a place in the queue; the emulator takes them in the order of their commits.
    fn enqueue(&self) {}

    /// Names it.
    fn setLabel(&self, _label: Option<&NSString>) {}

    /// How far it has come.
    fn status(&self) -> MTLCommandBufferStatus {
        match runtime::class::<CommandBuffer>(self).status() {
            Status::Recording => MTLCommandBufferStatus::NotEnqueued,
            Status::Committed => MTLCommandBufferStatus::Committed,
            Status::Completed => MTLCommandBufferStatus::Completed,
            Status::Error => MTLCommandBufferStatus::Error,
        }
    }

    /// What went wrong.
    fn error(&self) -> Option<Retained<NSError>> {
        runtime::class::<CommandBuffer>(self).error().map(NSError::of)
    }

    /// Waits until the commands have ended.
    fn waitUntilCompleted(&self) {
        runtime::shared::<CommandBuffer>(self).wait();
    }

    /// Its device.
    fn device(&self) -> Shared<dyn MTLDevice> {
        ProtocolObject::of(Arc::clone(runtime::class::<CommandBuffer>(self).queue().device()))
    }

    /// Calls a block when the commands have ended.
    ///
    /// # Safety
    ///
    /// The block must be valid during this call.
    unsafe fn addCompletedHandler(&self, block: MTLCommandBufferHandler) {
        // SAFETY: the caller vouches for the block.
        let block = unsafe { &*block }.copy();
        let commands = runtime::shared::<CommandBuffer>(self);
        // The commands hold their handlers, which must not hold the commands.
        let ended = Arc::downgrade(&commands);
        commands.on_completed(Box::new(move || {
            if let Some(ended) = ended.upgrade() {
                let object = ProtocolObject::of(ended);
                block.call((NonNull::from(&*object),));
            }
        }));
    }
}

impl MTLCommandBuffer for ProtocolObject<dyn MTLCommandBuffer> {}
