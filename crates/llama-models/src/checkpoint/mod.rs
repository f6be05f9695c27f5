//! Checkpoints on disk: safetensors and GGUF, mapped, checked when opened, unread until a row is needed.
//!
//! Invariant: whatever parses has passed every check of names, shapes, formats and byte ranges, so that later
//! code only asks for tensors. Nothing here computes with weights; quantising stores them otherwise.

mod files;
mod fingerprint;
pub mod gguf;
mod mapped_file;
mod memory_plan;
mod names;
mod open;
mod quantization;
mod quantize;
pub mod safetensors;
mod table;
mod vocabulary;

pub use files::CheckpointFile;
pub use memory_plan::{DtypeUsage, MemoryPlan};
pub use open::{AnyCheckpoint, Checkpoint, CheckpointFormat};
pub use quantization::{Quantization, UnknownQuantization};
pub use quantize::TensorProgress;
pub use table::{TensorDtype, TensorSummary, TensorTable};
pub use vocabulary::Vocabulary;
