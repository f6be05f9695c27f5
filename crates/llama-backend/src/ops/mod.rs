//! Every fused operation, each in a folder of its own: definition, fast paths, tests.
//!
//! A folder's `mod.rs` is the public function and the choice of path, `reference.rs` the definition in plain Candle
//! operations on any device, `cpu.rs` (later `metal.rs`, `cuda.rs`) a path of our own. Which path ran is counted.

mod count;
pub mod embed;
pub mod gated_linear;
pub mod gelu_linear;
pub mod kv_write;
pub mod layer_norm;
pub mod linear;
mod on_device;
mod outer;
pub mod paged_attention;
pub mod residual;
pub mod rms_norm;
pub mod rope;
mod rows;
pub mod span_attention;
#[cfg(feature = "cuda")]
mod strides;
pub mod swiglu;

pub(crate) use count::support;
pub use count::{Kernels, Op, Path, num_dispatches};
