//! Weights: formats, tensors that lie in a mapped file, decoding of their blocks, and their place on a device.

mod decode;
mod dtype;
mod mapped;
mod placed;

pub use decode::decode_row;
pub(crate) use decode::decode_row_with;
pub use dtype::WeightDtype;
pub use mapped::{ByteOwner, MappedTensor};
pub use placed::Weight;
