//! The safetensors format: the header of one file, and the index of a sharded checkpoint.
//!
//! The walk over the header is ours: the `safetensors` crate's own adds up offsets without an overflow check, does
//! not name the tensor at fault and lets the last of two equal names win. Its list of formats is used, and tests
//! hold that whatever is accepted here is accepted there.

mod header;
mod index;

pub use header::parse;
pub(crate) use index::ShardIndex;
