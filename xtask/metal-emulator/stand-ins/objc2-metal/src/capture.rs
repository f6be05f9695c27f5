//! Captures, which there are none of.

use objc2::rc::Retained;
use objc2::runtime::ProtocolObject;
use objc2_foundation::{NSError, NSURL};

use crate::{MTLCaptureDestination, MTLDevice};

/// What to capture.
#[derive(Debug)]
pub struct MTLCaptureDescriptor(());

impl MTLCaptureDescriptor {
    /// An empty description.
    pub fn new() -> Retained<MTLCaptureDescriptor> {
        Retained::of(MTLCaptureDescriptor(()))
    }

    /// Says where the capture goes.
    pub fn setDestination(&self, _destination: MTLCaptureDestination) {}

    /// Says what is captured.
    pub fn set_capture_device(&self, _device: &ProtocolObject<dyn MTLDevice>) {}

    /// Says into which file.
    pub fn setOutputURL(&self, _url: Option<&NSURL>) {}
}

/// What captures.
#[derive(Debug)]
pub struct MTLCaptureManager(());

impl MTLCaptureManager {
    /// The one there is.
    ///
    /// # Safety
    ///
    /// Always safe; the real crate's function is not.
    pub unsafe fn sharedCaptureManager() -> Retained<MTLCaptureManager> {
        Retained::of(MTLCaptureManager(()))
    }

    /// Begins a capture.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn startCaptureWithDescriptor_error(
        &self,
        _descriptor: &MTLCaptureDescriptor,
    ) -> Result<(), Retained<NSError>> {
        Err(NSError::of("the emulator captures nothing"))
    }
}
