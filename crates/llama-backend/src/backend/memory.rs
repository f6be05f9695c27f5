//! What a device holds, and where.

/// Bytes in use by this process on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Weights that are read where their file is mapped, without a copy.
    pub mapped_bytes: u64,
    /// Buffers that the processor and the device both see.
    pub shared_bytes: u64,
    /// Buffers that only the device sees; on the CPU there are none.
    pub private_bytes: u64,
}
