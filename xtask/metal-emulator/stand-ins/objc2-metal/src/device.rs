//! `MTLDevice`.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

use block2::Block;
use metal_emulator::{Buffer, Device, Fence, Queue, Storage, Tracking};
use objc2::rc::Retained;
use objc2::runtime::{self, Object, ProtocolObject};
use objc2_foundation::{NSArray, NSError, NSString};

use crate::library::Function;
use crate::residency::ResidencySet;
use crate::{
    MTLBuffer, MTLCommandQueue, MTLCompileOptions, MTLComputePipelineState, MTLFence, MTLFunction,
    MTLLibrary, MTLResidencySet, MTLResidencySetDescriptor, MTLResourceOptions, Shared,
};

/// What is called when a buffer over the host's memory goes.
pub type MTLNewBufferBlock = Block<dyn Fn(NonNull<c_void>, usize)>;

/// The architecture of a device.
#[derive(Debug)]
pub struct MTLArchitecture(());

impl MTLArchitecture {
    /// That of the first M1: what it can do is what the emulator can do.
    pub fn name(&self) -> Retained<NSString> {
        NSString::from_str("applegpu_g13g")
    }
}

/// A device.
pub trait MTLDevice: Object {
    /// Its number among devices.
    fn registryID(&self) -> u64 {
        1
    }

    /// A new buffer; none when there is no room, or no length.
    fn newBufferWithLength_options(
        &self,
        length: usize,
        options: MTLResourceOptions,
    ) -> Option<Shared<dyn MTLBuffer>> {
        new_buffer(runtime::class(self), length, options).map(ProtocolObject::of)
    }

    /// A new buffer with a copy of these bytes.
    ///
    /// # Safety
    ///
    /// There must be so many bytes at that address.
    unsafe fn newBufferWithBytes_length_options(
        &self,
        pointer: NonNull<c_void>,
        length: usize,
        options: MTLResourceOptions,
    ) -> Option<Shared<dyn MTLBuffer>> {
        let buffer = new_buffer(runtime::class(self), length, options)?;
        let target = buffer.contents().cast::<u8>().as_ptr();
        // SAFETY: the caller vouches for the source, and the buffer is new and as long.
        unsafe { std::ptr::copy_nonoverlapping(pointer.cast::<u8>().as_ptr(), target, length) };
        Some(ProtocolObject::of(buffer))
    }

    /// The host's memory as a buffer; none unless it is whole pages.
    ///
    /// # Safety
    ///
    /// The memory must stay until the buffer has gone.
    unsafe fn newBufferWithBytesNoCopy_length_options_deallocator(
        &self,
        pointer: NonNull<c_void>,
        length: usize,
        options: MTLResourceOptions,
        deallocator: Option<&MTLNewBufferBlock>,
    ) -> Option<Shared<dyn MTLBuffer>> {
        let release = deallocator.map(|block| -> Box<dyn Fn() + Send + Sync> {
            let (block, address) = (block.copy(), pointer.as_ptr().expose_provenance());
            let pointer = move || NonNull::new(std::ptr::with_exposed_provenance_mut(address));
            Box::new(move || pointer().into_iter().for_each(|pointer| block.call((pointer, length))))
        });
        let device = runtime::class::<Device>(self);
        device.buffer_of_host(pointer, length, tracking(options), release).map(ProtocolObject::of)
    }

    /// Compiles a source.
    ///
    /// # Errors
    ///
    /// When it does not compile, with the compiler's messages.
    fn newLibraryWithSource_options_error(
        &self,
        source: &NSString,
        _options: Option<&MTLCompileOptions>,
    ) -> Result<Shared<dyn MTLLibrary>, Retained<NSError>> {
        let library = runtime::class::<Device>(self).library(&source.to_string());
        library.map(ProtocolObject::of).map_err(describe)
    }

    /// Makes a kernel ready for dispatches.
    ///
    /// # Errors
    ///
    /// When it does not compile as an instance of its template.
    fn newComputePipelineStateWithFunction_error(
        &self,
        function: &ProtocolObject<dyn MTLFunction>,
    ) -> Result<Shared<dyn MTLComputePipelineState>, Retained<NSError>> {
        function.class::<Function>().pipeline().map(ProtocolObject::of).map_err(describe)
    }

    /// A queue for command buffers.
    fn newCommandQueue(&self) -> Option<Shared<dyn MTLCommandQueue>> {
        Some(ProtocolObject::of(Queue::new(&runtime::shared(self))))
    }

    /// A fence.
    fn newFence(&self) -> Option<Shared<dyn MTLFence>> {
        Some(ProtocolObject::of(Arc::new(Fence::new())))
    }

    /// A residency set.
    ///
    /// # Errors
    ///
    /// Never.
    fn newResidencySetWithDescriptor_error(
        &self,
        _descriptor: &MTLResidencySetDescriptor,
    ) -> Result<Shared<dyn MTLResidencySet>, Retained<NSError>> {
        Ok(ProtocolObject::of(Arc::new(ResidencySet)))
    }

    /// How much memory should be in use at most: 8 GiB.
    fn recommendedMaxWorkingSetSize(&self) -> u64 {
        8 << 30
    }

    /// The longest buffer: 4 GiB.
    fn maxBufferLength(&self) -> usize {
        4 << 30
    }

    /// How much memory a threadgroup may use.
    fn maxThreadgroupMemoryLength(&self) -> usize {
        32 * 1024
    }

    /// Whether host and device share memory. They do.
    fn hasUnifiedMemory(&self) -> bool {
        true
    }

    /// How many bytes its buffers have in all.
    fn currentAllocatedSize(&self) -> usize {
        runtime::class::<Device>(self).allocated_bytes()
    }

    /// Its architecture.
    fn architecture(&self) -> Retained<MTLArchitecture> {
        Retained::of(MTLArchitecture(()))
    }

    /// Its name.
    fn name(&self) -> Retained<NSString> {
        NSString::from_str("emulated Metal device")
    }
}

impl MTLDevice for ProtocolObject<dyn MTLDevice> {}

/// The emulated device.
pub fn MTLCreateSystemDefaultDevice() -> Option<Shared<dyn MTLDevice>> {
    Some(ProtocolObject::of(Device::system()))
}

/// The emulated device alone.
pub fn MTLCopyAllDevices() -> Retained<NSArray<ProtocolObject<dyn MTLDevice>>> {
    NSArray::of(MTLCreateSystemDefaultDevice().into_iter().collect())
}

fn new_buffer(device: &Device, length: usize, options: MTLResourceOptions) -> Option<Arc<Buffer>> {
    let is_private = options.0 & MTLResourceOptions::StorageModePrivate.0 != 0;
    let storage = if is_private { Storage::Private } else { Storage::Shared };
    device.buffer_with(length, storage, tracking(options))
}

fn tracking(options: MTLResourceOptions) -> Tracking {
    let is_untracked = options.0 & MTLResourceOptions::HazardTrackingModeUntracked.0 != 0;
    if is_untracked { Tracking::Untracked } else { Tracking::Tracked }
}

fn describe(error: metal_emulator::Error) -> Retained<NSError> {
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(&error) {
        text.push_str(&format!(": {source}"));
    }
    NSError::of(text)
}
