//! Property tests that compare a device with the reference: every operation, and whole decoders.
//!
//! A [`properties::Property`] makes random cases and computes each one twice, on the device under test and by the
//! reference on the CPU. Cases are plain data, so they travel to a process of their own: what crashes or hangs there is
//! the failure of one case. A failing case is shrunk and printed; `--replay` runs it again.
//!
//! Errors are measured in multiples of a bound that is computed beside the values, from the rounding errors that the
//! operation cannot avoid ([`measure`]). It does not know which device it is on; the emulated one brings [`Hooks`].
//!
//! ```
//! use candle_core::DType;
//! use llama_parity::measure::Comparison;
//!
//! let (expected, bounds, dtype) = (vec![1.0, 2.0], vec![1e-6, 1e-6], DType::F32);
//! let close = Comparison { found: vec![1.0, 2.0000005], expected, bounds, dtype };
//! assert!(close.worst().ratio < 1.0);
//! let broken = Comparison { found: vec![1.0, f32::NAN], ..close };
//! assert_eq!((broken.worst().ratio, broken.worst().value_idx), (f64::MAX, 1));
//! ```

mod campaign;
mod cli;
mod evaluator;
mod fill;
pub mod measure;
pub mod properties;
mod report;
mod subject;

pub use cli::{Hooks, main};
