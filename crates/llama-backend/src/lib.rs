//! Devices, weights and fused operations: everything in llama.rs that differs between a CPU, Metal and CUDA.

mod error;
pub mod ops;
pub mod weight;

pub use error::BackendError;
