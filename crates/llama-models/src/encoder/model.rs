//! The whole encoder: embeddings of words and positions, then layers.

use candle_core::Tensor;
use llama_backend::{
    ops::{
        Kernels,
        embed::embed,
        layer_norm::{LayerNorm, layer_norm},
        residual::residual,
        span_attention::Spans,
    },
    weight::Weight,
};

use super::layer::Layer;
use crate::{EncoderConfig, ModelError, decoder::on_host};

/// A bidirectional transformer of the BERT kind. Holds weights, no state.
#[derive(Debug)]
pub struct Encoder {
    pub(super) config: EncoderConfig,
    pub(super) words: Weight,
    pub(super) positions: Weight,
    pub(super) types: Weight,
    pub(super) norm: LayerNorm,
    pub(super) layers: Vec<Layer>,
    pub(super) kernels: Kernels,
}

impl Encoder {
    /// What it looks like.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// The hidden state of every token of every text. Texts lie one after another, without padding; on the CPU, those of
    /// a text are the same bits whatever texts it is computed with.
    ///
    /// # Shapes
    /// Texts of t tokens in all; results: `[tokens of the text, e]`, in f32 on the CPU.
    ///
    /// # Errors
    /// [`ModelError::Backend`] for a text that is empty or has more tokens than there are positions, or a token outside
    /// the vocabulary, or if the device fails.
    pub fn forward(&self, texts: &[&[u32]]) -> Result<Vec<Tensor>, ModelError> {
        let spans = Spans::of_lens(texts.iter().map(|text| text.len()))?;
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let mut x = self.embed(texts)?; // [t, e]
        for layer in &self.layers {
            x = layer.forward(&x, (&spans, self.config.num_attention_heads), self.kernels)?;
        }
        let x = on_host(&x)?;
        spans.iter().map(|span| Ok(x.narrow(0, span.start, span.len())?)).collect()
    }

    /// # Shapes
    /// Result: `[t, e]`
    fn embed(&self, texts: &[&[u32]]) -> Result<Tensor, ModelError> {
        let words = texts.concat();
        let positions: Vec<u32> = texts.iter().flat_map(|text| 0..text.len() as u32).collect();
        let types = vec![0; words.len()];
        let words = embed(&words, &self.words, self.kernels)?; // [t, e]
        let positions = embed(&positions, &self.positions, self.kernels)?; // [t, e]
        let types = embed(&types, &self.types, self.kernels)?; // [t, e]
        let places = residual(&positions, &types, self.kernels)?;
        Ok(layer_norm(&words, &places, &self.norm, self.kernels)?)
    }
}
