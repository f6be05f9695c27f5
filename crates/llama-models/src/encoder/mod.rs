//! The encoder: BERT, whose rows see their whole text. Texts are computed once and nothing is cached.

mod layer;
mod load;
mod model;

pub use model::Encoder;
