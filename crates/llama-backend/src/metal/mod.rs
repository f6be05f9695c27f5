//! What our Metal kernels share on the host: their sources and arguments, compiled pipelines, dispatches, weights.
//!
//! Kernels are plain Metal Shading Language: each operation's folder has its source, `stored.metal` stands before all
//! of them. Buffers are not tracked by Metal and dispatches run concurrently: what orders them is that each dispatch
//! says which buffers it reads and which it writes ([`Dispatch::input`], [`Dispatch::output`]).
//!
//! Nothing here waits for the device, except the last owner of a mapped file, before the file goes.

mod arguments;
#[cfg(feature = "metal")]
mod dispatch;
#[cfg(feature = "metal")]
mod operand;
#[cfg(feature = "metal")]
mod pipeline;
mod source;
#[cfg(feature = "metal")]
mod stored;

#[cfg(feature = "metal")]
pub(crate) use {
    arguments::*,
    dispatch::{Dispatch, format, suffix},
    operand::{Operand, Output},
    pipeline::Kernel,
    source::Source,
    stored::{NO_WEIGHT, PlacedBytes, StoredBytes},
};
