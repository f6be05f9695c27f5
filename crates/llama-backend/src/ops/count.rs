//! Which path an operation takes, and how often each was taken: a test proves by it that a path ran.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use candle_core::Device;

use crate::backend::{Support, cuda, metal};

/// Which implementation of an operation to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernels {
    /// Our own path where the device has one, otherwise the reference.
    #[default]
    Native,
    /// The definition in plain Candle operations.
    Reference,
}

/// Path that a dispatch took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Plain Candle operations.
    Reference,
    /// Our CPU kernel.
    Cpu,
    /// Our Metal kernel.
    Metal,
    /// Our CUDA kernel.
    Cuda,
}

impl Path {
    /// Every path.
    pub const ALL: [Self; 4] = [Self::Reference, Self::Cpu, Self::Metal, Self::Cuda];
    const COUNT: usize = Self::ALL.len();
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "reference",
            Self::Cpu => "cpu",
            Self::Metal => "metal",
            Self::Cuda => "cuda",
        })
    }
}

/// An operation of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// [`super::embed`]
    Embed,
    /// [`super::gated_linear`]
    GatedLinear,
    /// [`super::gelu_linear`]
    GeluLinear,
    /// [`super::kv_write`]
    KvWrite,
    /// [`super::layer_norm`]
    LayerNorm,
    /// [`super::linear`]
    Linear,
    /// [`super::paged_attention`]
    PagedAttention,
    /// [`super::residual`]
    Residual,
    /// [`super::rms_norm`]
    RmsNorm,
    /// [`super::rope`]
    Rope,
    /// [`super::span_attention`]
    SpanAttention,
    /// [`super::swiglu`]
    SwiGlu,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 12] = [
        Self::Embed,
        Self::GatedLinear,
        Self::GeluLinear,
        Self::KvWrite,
        Self::LayerNorm,
        Self::Linear,
        Self::PagedAttention,
        Self::Residual,
        Self::RmsNorm,
        Self::Rope,
        Self::SpanAttention,
        Self::SwiGlu,
    ];
    /// What decoders are made of. The others are for encoders.
    pub const OF_DECODERS: [Self; 9] = [
        Self::Embed,
        Self::GatedLinear,
        Self::KvWrite,
        Self::Linear,
        Self::PagedAttention,
        Self::Residual,
        Self::RmsNorm,
        Self::Rope,
        Self::SwiGlu,
    ];
    const COUNT: usize = Self::ALL.len();
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embed => "embed",
            Self::GatedLinear => "gated_linear",
            Self::GeluLinear => "gelu_linear",
            Self::KvWrite => "kv_write",
            Self::LayerNorm => "layer_norm",
            Self::Linear => "linear",
            Self::PagedAttention => "paged_attention",
            Self::Residual => "residual",
            Self::RmsNorm => "rms_norm",
            Self::Rope => "rope",
            Self::SpanAttention => "span_attention",
            Self::SwiGlu => "swiglu",
        })
    }
}

static COUNTS: [[AtomicU64; Path::COUNT]; Op::COUNT] =
    [const { [const { AtomicU64::new(0) }; Path::COUNT] }; Op::COUNT];

/// Chooses the path of `op` on `device` and counts it.
pub(crate) fn choose(op: Op, device: &Device, kernels: Kernels) -> Path {
    let path = match kernels {
        Kernels::Native => native_path(op, device),
        Kernels::Reference => Path::Reference,
    };
    COUNTS[op as usize][path as usize].fetch_add(1, Ordering::Relaxed);
    path
}

/// The path of our own on `device`, or the reference where there is none.
fn native_path(op: Op, device: &Device) -> Path {
    match device {
        Device::Cpu => Path::Cpu,
        Device::Metal(_) if metal::NATIVE_OPS.contains(&op) => Path::Metal,
        Device::Cuda(_) if cuda::NATIVE_OPS.contains(&op) => Path::Cuda,
        Device::Metal(_) | Device::Cuda(_) => Path::Reference,
    }
}

/// Whether `op` has a path of our own on `device`.
pub(crate) fn support(op: Op, device: &Device) -> Support {
    match native_path(op, device) {
        Path::Reference => Support::Composed,
        _ => Support::Native,
    }
}

/// How often `op` took `path` since the process began.
pub fn num_dispatches(op: Op, path: Path) -> u64 {
    COUNTS[op as usize][path as usize].load(Ordering::Relaxed)
}
