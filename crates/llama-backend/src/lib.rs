//! Devices, weights and fused operations: everything in llama.rs that differs between a CPU, Metal and CUDA.
//!
//! Layers above are written against Candle tensors and the functions of [`ops`]; they hold a [`Backend`] and never
//! ask which device it is. On the CPU every result is the same whatever batch, thread or instruction set it was
//! computed with.
//!
//! ```
//! use candle_core::{DType, Tensor};
//! use llama_backend::{Device, ops::{Kernels, swiglu}};
//!
//! let backend = "cpu".parse::<Device>()?.backend()?;
//! let gate_up = Tensor::ones((1, 6), DType::F32, backend.device())?;
//! let activated = swiglu::swiglu(&gate_up, Kernels::Native)?;
//! assert_eq!(activated.dims(), [1, 3]);
//! # Ok::<(), llama_backend::BackendError>(())
//! ```

pub mod backend;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod error;
#[cfg(any(feature = "metal", test))]
mod metal;
pub mod ops;
pub mod parallel;
pub mod power;
pub mod roofline;
pub mod simd;
pub mod weight;

pub use backend::{Backend, Memory, Support, capabilities};
pub use device::Device;
pub use error::BackendError;
