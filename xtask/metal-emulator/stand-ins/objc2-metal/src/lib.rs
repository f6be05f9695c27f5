//! Stand-in for `objc2-metal`: its protocols over the emulated device.
//!
//! Each protocol is a trait whose methods have bodies that find the object's class. Only what Candle and
//! code beside it need is here, with the signatures of the real crate.
//!
//! ```
//! use objc2_metal::{MTLCreateSystemDefaultDevice, MTLDevice};
//!
//! let device = MTLCreateSystemDefaultDevice().expect("there is always one");
//! assert_eq!(device.currentAllocatedSize(), 0);
//! ```
#![allow(non_snake_case, non_upper_case_globals)]

mod buffer;
mod capture;
mod command_buffer;
mod command_queue;
mod constants;
mod device;
mod encoders;
mod library;
mod residency;

pub use buffer::{MTLAllocation, MTLBuffer, MTLResource};
pub use capture::{MTLCaptureDescriptor, MTLCaptureManager};
pub use command_buffer::{MTLCommandBuffer, MTLCommandBufferHandler};
pub use command_queue::MTLCommandQueue;
pub use constants::*;
pub use device::{
    MTLArchitecture, MTLCopyAllDevices, MTLCreateSystemDefaultDevice, MTLDevice, MTLNewBufferBlock,
};
pub use encoders::{MTLBlitCommandEncoder, MTLCommandEncoder, MTLComputeCommandEncoder, MTLFence};
pub use library::{
    MTLCompileOptions, MTLComputePipelineState, MTLFunction, MTLFunctionConstantValues, MTLLibrary,
};
pub use residency::{MTLResidencySet, MTLResidencySetDescriptor};

use objc2::rc::Retained;
use objc2::runtime::ProtocolObject;

/// A counted reference to an object with the protocol `P`.
type Shared<P> = Retained<ProtocolObject<P>>;
