//! What can go wrong below the models.

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
    /// The device is not in this build or not in this machine. Use `cpu`, or build with the feature of its name.
    #[error("device {device:?} is not available: {reason}")]
    DeviceUnavailable {
        /// What was asked for.
        device: String,
        /// Why it cannot be had.
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
    /// Candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
