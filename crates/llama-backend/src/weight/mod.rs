//! Weights: formats, tensors that lie in a mapped file, decoding and encoding of their blocks, their place on a device.

mod convert;
mod decode;
mod dtype;
mod encode;
mod mapped;
mod placed;

pub use decode::decode_row;
pub(crate) use decode::decode_row_with;
pub use dtype::WeightDtype;
pub use encode::{Unencodable, encode_row};
pub use mapped::{ByteOwner, MappedTensor};
pub use placed::Weight;
