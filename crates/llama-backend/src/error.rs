//! What can go wrong below the models.

use crate::weight::WeightDtype;

/// Errors of devices, weights and operations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// A tensor's bytes, shape and format contradict each other: the checkpoint is damaged.
    #[error("tensor {name:?}: {reason}")]
    WeightShape {
        /// Name in the checkpoint.
        name: String,
        /// What does not fit, with the numbers.
        reason: String,
    },
    /// A value of a tensor cannot be stored in another format: NaN, an infinity, or out of range. The checkpoint is
    /// damaged, or needs a wider format.
    #[error("tensor {name:?}: row {}, column {} is {value}, which {dtype} has no place for", place.0, place.1)]
    WeightValue {
        /// Name in the checkpoint.
        name: String,
        /// Row and column.
        place: (usize, usize),
        /// The value.
        value: f32,
        /// The format.
        dtype: WeightDtype,
    },
    /// The device is not in this build or not in this machine. Use `cpu`, or build with the feature of its name.
    #[error("device {device:?} is not available: {reason}")]
    DeviceUnavailable {
        /// What was asked for.
        device: String,
        /// Why it cannot be had.
        reason: String,
    },
    /// Nothing tells how much energy the device uses, or nothing that this process may read. Everything else works.
    #[error("no power sensor: {reason}")]
    PowerUnavailable {
        /// What is missing, or may not be read.
        reason: String,
    },
    /// Operation arguments that do not fit together: a fault in the caller.
    #[error("{op}: {reason}")]
    Argument {
        /// The operation.
        op: &'static str,
        /// What does not fit, with the numbers.
        reason: String,
    },
    /// A kernel of ours does not compile on this GPU: its system is too old, or the kernel is wrong. Please report it;
    /// `Kernels::Reference` computes without.
    #[cfg(feature = "metal")]
    #[error("Metal kernel {function}")]
    Kernel {
        /// The kernel.
        function: String,
        /// What the compiler says.
        source: Box<candle_metal_kernels::MetalKernelError>,
    },
    /// A kernel's source did not compile on this machine: its compiler (NVRTC) is older than the kernels, or a head is of
    /// a size that nobody tried. `Kernels::Reference` does without.
    #[error("kernel {kernel} does not compile: {log}")]
    KernelCompile {
        /// The kernel.
        kernel: &'static str,
        /// What the compiler says.
        log: String,
    },
    /// Candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
