//! What a checkpoint needs to know of any model.

use llama_backend::weight::WeightDtype;

use super::{DecoderConfig, EncoderConfig};
use crate::Quantization;

/// A kind of model. Implemented for those of this crate.
pub trait ModelConfig {
    /// Number of layers.
    fn num_layers(&self) -> usize;

    /// The format that a matrix, given by name and row length, gets in a quantised model.
    fn dtype_in(&self, quantization: Quantization, matrix: (&str, usize)) -> WeightDtype;
}

impl ModelConfig for DecoderConfig {
    fn num_layers(&self) -> usize {
        self.num_hidden_layers
    }

    fn dtype_in(&self, quantization: Quantization, (name, cols): (&str, usize)) -> WeightDtype {
        quantization.dtype_of(name, cols, self)
    }
}

impl ModelConfig for EncoderConfig {
    fn num_layers(&self) -> usize {
        self.num_hidden_layers
    }

    fn dtype_in(&self, quantization: Quantization, (_, cols): (&str, usize)) -> WeightDtype {
        quantization.uniform_dtype(cols)
    }
}
