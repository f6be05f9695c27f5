//! Weights: formats, tensors that lie in a mapped file, and decoding of their blocks.

mod dtype;
mod mapped;

pub use dtype::WeightDtype;
pub use mapped::{ByteOwner, MappedTensor};
