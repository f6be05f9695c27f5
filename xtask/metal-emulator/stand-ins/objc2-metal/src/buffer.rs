//! `MTLBuffer` and what it inherits from.

use std::ffi::c_void;
use std::ptr::NonNull;

use metal_emulator::Buffer;
use objc2::runtime::{self, Object, ProtocolObject};
use objc2_foundation::{NSRange, NSString};

/// What takes memory.
pub trait MTLAllocation {}

/// What commands can use.
pub trait MTLResource: Object {
    /// Names it; the emulator numbers buffers instead.
    fn setLabel(&self, _label: Option<&NSString>) {}
}

/// Memory of the device.
pub trait MTLBuffer: Object {
    /// Its memory.
    ///
    /// # Panics
    ///
    /// If the buffer has private storage.
    fn contents(&self) -> NonNull<c_void> {
        runtime::class::<Buffer>(self).contents()
    }

    /// Its length in bytes.
    fn length(&self) -> usize {
        runtime::class::<Buffer>(self).num_bytes()
    }

    /// Says that the host has written a part of managed memory, which the emulator does not copy.
    fn didModifyRange(&self, _range: NSRange) {}
}

impl MTLBuffer for ProtocolObject<dyn MTLBuffer> {}
impl MTLResource for ProtocolObject<dyn MTLBuffer> {}
impl MTLResource for ProtocolObject<dyn MTLResource> {}
