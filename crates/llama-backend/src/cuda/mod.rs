//! What our CUDA kernels share: opening a GPU, compiling and launching kernels, and tensors as places in its memory.
//!
//! Invariant: a device has one stream, and everything here is submitted to it; so a kernel sees what was submitted
//! before, and memory is freed after what uses it. Operations keep their kernel (`<name>.cu`) and its arguments
//! (`cuda.rs`) in their own folder.

mod device;
mod gemm;
mod kernel;
mod place;

pub(crate) use device::{describe, open, pci_address, used_bytes};
pub(crate) use gemm::Gemm;
pub(crate) use kernel::{Argument, Grid, Kernel};
pub(crate) use place::{Place, device_of, place, uninitialized, vector_len};
