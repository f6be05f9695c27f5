//! The decoder: what every family computes, in one definition.

mod attention;
mod feed_forward;
mod layer;
mod load;
mod model;

pub use load::DecoderOptions;
pub use model::Decoder;
pub(crate) use model::on_host;
