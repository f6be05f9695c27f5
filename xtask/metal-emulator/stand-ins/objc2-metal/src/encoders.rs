//! Command encoders and fences.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

use metal_emulator::{BlitEncoder, Buffer, ComputeEncoder, Fence, Pipeline};
use objc2::runtime::{self, Object, ProtocolObject};
use objc2_foundation::{NSRange, NSString};

use crate::{MTLBarrierScope, MTLBuffer, MTLComputePipelineState, MTLSize};

/// Orders encoders.
pub trait MTLFence: Object {}

impl MTLFence for ProtocolObject<dyn MTLFence> {}

/// What every encoder can.
pub trait MTLCommandEncoder: Object {
    /// Hands what was recorded to the command buffer.
    fn endEncoding(&self);

    /// Names it.
    fn setLabel(&self, _label: Option<&NSString>) {}

    /// Names what follows.
    fn pushDebugGroup(&self, _label: &NSString) {}

    /// Ends the last name.
    fn popDebugGroup(&self) {}
}

impl MTLCommandEncoder for ProtocolObject<dyn MTLComputeCommandEncoder> {
    fn endEncoding(&self) {
        self.class::<ComputeEncoder>().end();
    }
}

impl MTLCommandEncoder for ProtocolObject<dyn MTLBlitCommandEncoder> {
    fn endEncoding(&self) {
        self.class::<BlitEncoder>().end();
    }
}

/// Records dispatches.
pub trait MTLComputeCommandEncoder: Object {
    /// Chooses the kernel of what follows.
    fn setComputePipelineState(&self, state: &ProtocolObject<dyn MTLComputePipelineState>) {
        let pipeline: Arc<Pipeline> = runtime::shared(state);
        encoder(self).set_pipeline(&pipeline);
    }

    /// Sets how much threadgroup memory an argument has.
    ///
    /// # Safety
    ///
    /// Always safe; the real crate's method is not.
    unsafe fn setThreadgroupMemoryLength_atIndex(&self, length: usize, index: usize) {
        encoder(self).set_threadgroup_bytes(index, length);
    }

    /// Binds a buffer.
    ///
    /// # Safety
    ///
    /// The kernel must stay within the buffer.
    unsafe fn setBuffer_offset_atIndex(
        &self,
        buffer: Option<&ProtocolObject<dyn MTLBuffer>>,
        offset: usize,
        index: usize,
    ) {
        let buffer: Option<Arc<Buffer>> = buffer.map(runtime::shared);
        encoder(self).bind_buffer(index, buffer.as_ref().map(|buffer| (buffer, offset)));
    }

    /// Binds a copy of some bytes.
    ///
    /// # Safety
    ///
    /// There must be so many bytes at that address.
    unsafe fn setBytes_length_atIndex(&self, bytes: NonNull<c_void>, length: usize, index: usize) {
        // SAFETY: the caller vouches for the bytes.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>().as_ptr(), length) };
        encoder(self).bind_bytes(index, bytes);
    }

    /// Runs the kernel on so many threads.
    fn dispatchThreads_threadsPerThreadgroup(&self, threads: MTLSize, threads_per_group: MTLSize) {
        encoder(self).dispatch_threads(threads.sides(), threads_per_group.sides());
    }

    /// Runs the kernel on so many threadgroups.
    fn dispatchThreadgroups_threadsPerThreadgroup(&self, groups: MTLSize, threads_per_group: MTLSize) {
        encoder(self).dispatch_groups(groups.sides(), threads_per_group.sides());
    }

    /// Lets what follows come after what precedes.
    fn memoryBarrierWithScope(&self, _scope: MTLBarrierScope) {
        encoder(self).barrier();
    }

    /// Lets the encoder come after the one that updates the fence.
    fn waitForFence(&self, fence: &ProtocolObject<dyn MTLFence>) {
        encoder(self).wait_for(fence.class::<Fence>());
    }

    /// Lets encoders that wait for the fence come after this one.
    fn updateFence(&self, fence: &ProtocolObject<dyn MTLFence>) {
        encoder(self).update(fence.class::<Fence>());
    }
}

impl MTLComputeCommandEncoder for ProtocolObject<dyn MTLComputeCommandEncoder> {}

fn encoder<T: MTLComputeCommandEncoder + ?Sized>(object: &T) -> &ComputeEncoder {
    runtime::class(object)
}

/// Records copies and fills.
pub trait MTLBlitCommandEncoder: Object {
    /// Copies from buffer to buffer.
    ///
    /// # Safety
    ///
    /// Always safe; the real crate's method is not.
    unsafe fn copyFromBuffer_sourceOffset_toBuffer_destinationOffset_size(
        &self,
        source: &ProtocolObject<dyn MTLBuffer>,
        source_offset: usize,
        target: &ProtocolObject<dyn MTLBuffer>,
        target_offset: usize,
        size: usize,
    ) {
        let (source, target): (Arc<Buffer>, Arc<Buffer>) = (runtime::shared(source), runtime::shared(target));
        let encoder = runtime::class::<BlitEncoder>(self);
        encoder.copy((&source, source_offset), (&target, target_offset), size);
    }

    /// Fills a part of a buffer with a byte.
    fn fillBuffer_range_value(&self, buffer: &ProtocolObject<dyn MTLBuffer>, range: NSRange, value: u8) {
        let buffer: Arc<Buffer> = runtime::shared(buffer);
        let range = range.location..range.location.saturating_add(range.length);
        runtime::class::<BlitEncoder>(self).fill(&buffer, range, value);
    }

    /// Lets the encoder come after the one that updates the fence.
    fn waitForFence(&self, fence: &ProtocolObject<dyn MTLFence>) {
        runtime::class::<BlitEncoder>(self).wait_for(fence.class::<Fence>());
    }

    /// Lets encoders that wait for the fence come after this one.
    fn updateFence(&self, fence: &ProtocolObject<dyn MTLFence>) {
        runtime::class::<BlitEncoder>(self).update(fence.class::<Fence>());
    }
}

impl MTLBlitCommandEncoder for ProtocolObject<dyn MTLBlitCommandEncoder> {}
