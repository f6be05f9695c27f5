//! The GGUF format, versions 2 and 3, little-endian: reading what is hostile, writing what is ours.
//!
//! The format is described in `docs/gguf.md` of <https://github.com/ggml-org/ggml>. Invariant: nothing allocates
//! more than the file's length justifies; values stay in the map until someone asks for one.

mod cursor;
mod export;
mod ggml_type;
mod metadata;
mod parse;
mod rewrite;
mod tensors;
#[cfg(test)]
mod tests;
mod value;
mod writer;

pub use metadata::GgufMetadata;
pub use parse::Gguf;
pub use value::{FromGguf, GgufValue};
pub use writer::{GgufBody, GgufWriter};
