//! From a checkpoint's tensors to an encoder's weights. Checks every shape and reads no weight.

use candle_core::DType;
use llama_backend::{
    Backend,
    ops::{
        layer_norm::LayerNorm,
        linear::{Activations, Linear, LinearPart},
    },
    weight::Weight,
};

use super::{Encoder, layer::Layer};
use crate::{Checkpoint, DecoderOptions, ModelError, config::EncoderConfig};

impl Encoder {
    /// Finds and checks the weights. Cheap: no weight is read before the first step that needs it.
    ///
    /// # Errors
    /// [`ModelError`] that names the tensor which is missing or has the wrong shape or format;
    /// [`ModelError::ComputeDtype`] for a dtype that the device cannot compute in.
    pub fn new(
        checkpoint: &Checkpoint<EncoderConfig>,
        backend: &dyn Backend,
        options: DecoderOptions,
    ) -> Result<Self, ModelError> {
        let dtype = options.dtype_on(backend)?;
        let config = checkpoint.config();
        let loader = Loader { checkpoint, backend, config, dtype, activations: options.activations };
        let e = config.hidden_size;
        let embedding = |name: &str, rows| loader.weight(&format!("embeddings.{name}.weight"), &[rows, e]);
        let layers = (0..config.num_hidden_layers).map(|layer_idx| loader.layer(layer_idx));
        Ok(Self {
            config: config.clone(),
            words: embedding("word_embeddings", config.vocab_size)?,
            positions: embedding("position_embeddings", config.max_position_embeddings)?,
            types: embedding("token_type_embeddings", config.type_vocab_size)?,
            norm: loader.norm("embeddings.LayerNorm")?,
            layers: layers.collect::<Result<_, _>>()?,
            kernels: options.kernels,
        })
    }
}

struct Loader<'a> {
    checkpoint: &'a Checkpoint<EncoderConfig>,
    backend: &'a dyn Backend,
    config: &'a EncoderConfig,
    dtype: DType,
    activations: Activations,
}

impl Loader<'_> {
    fn layer(&self, layer_idx: usize) -> Result<Layer, ModelError> {
        let (e, f) = (self.config.hidden_size, self.config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{layer_idx}.{part}");
        let attention = |part: &str| self.part(&name(&format!("attention.self.{part}")), [e, e]);
        let (q, k, v) = (attention("query")?, attention("key")?, attention("value")?);
        Ok(Layer {
            qkv: self.linear(vec![q, k, v])?,
            output: self.linear(vec![self.part(&name("attention.output.dense"), [e, e])?])?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"))?,
            up: self.linear(vec![self.part(&name("intermediate.dense"), [f, e])?])?,
            down: self.linear(vec![self.part(&name("output.dense"), [e, f])?])?,
            feed_forward_norm: self.norm(&name("output.LayerNorm"))?,
        })
    }

    fn linear(&self, parts: Vec<LinearPart>) -> Result<Linear, ModelError> {
        Ok(Linear::new(parts)?.with_activations(self.activations))
    }

    fn part(&self, name: &str, [n, k]: [usize; 2]) -> Result<LinearPart, ModelError> {
        let bias = Some(self.weight(&format!("{name}.bias"), &[n])?);
        Ok(LinearPart { weight: self.weight(&format!("{name}.weight"), &[n, k])?, bias })
    }

    fn norm(&self, name: &str) -> Result<LayerNorm, ModelError> {
        let vector = |part: &str| self.weight(&format!("{name}.{part}"), &[self.config.hidden_size]);
        Ok(LayerNorm { weight: vector("weight")?, bias: vector("bias")?, eps: self.config.layer_norm_eps })
    }

    fn weight(&self, name: &str, shape: &[usize]) -> Result<Weight, ModelError> {
        Ok(self.backend.place(self.checkpoint.tensor(name, shape)?, self.dtype))
    }
}
