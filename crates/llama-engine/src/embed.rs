//! What a caller asks of and gets from `embed`.

use crate::{Priority, Usage};

/// How the hidden states of a text become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// The last one.
    Last,
    /// The first one.
    First,
    /// Their mean, weighted by position: 1 for the first, 2 for the second (Muennighoff, arXiv:2202.08904).
    WeightedMean,
}

/// Whether vectors are scaled to length one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalization {
    /// To Euclidean length 1.
    #[default]
    L2,
    /// Left as they are.
    None,
}

/// Many texts to embed.
#[derive(Clone, Debug, Default)]
pub struct EmbedRequest {
    /// The texts.
    pub texts: Vec<String>,
    /// Keep this many leading components: cut after pooling, before normalisation (Matryoshka, arXiv:2205.13147).
    pub dimensions: Option<usize>,
    /// How a text becomes one vector.
    pub pooling: Pooling,
    /// How the vector is scaled.
    pub normalization: Normalization,
    /// Put before each text, such as `query: `.
    pub instruction: Option<String>,
    /// Who goes first when not all can.
    pub priority: Priority,
}

impl EmbedRequest {
    /// Mean-pooled, normalised, at full size.
    pub fn new<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self { texts: texts.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// One vector per text, in the order of the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// # Shapes
    /// `[texts, dimensions]`
    pub vectors: Vec<Vec<f32>>,
    /// Tokens read.
    pub usage: Usage,
}
