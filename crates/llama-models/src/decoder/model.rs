//! The whole decoder: embedding, layers, final norm, vocabulary projection.

use candle_core::{DType, Device, Tensor};
use llama_backend::{
    ops::{
        Kernels, embed::embed, linear::Linear, linear::linear, rms_norm::RmsNorm, rms_norm::rms_norm,
        rope::Rotations,
    },
    weight::Weight,
};
use llama_kv::{CacheConfig, PagedCache};

use super::layer::{Layer, Step};
use crate::{Batch, DecoderConfig, ModelError, Output, Outputs};

/// A decoder-only transformer of the Llama kind. Holds weights, no state: the cache is the caller's.
#[derive(Debug)]
pub struct Decoder {
    pub(super) config: DecoderConfig,
    pub(super) embedding: Weight,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: RmsNorm,
    pub(super) head: Linear,
    pub(super) inverse_frequencies: Vec<f32>,
    pub(super) kernels: Kernels,
    pub(super) dtype: DType,
}

impl Decoder {
    /// What it looks like.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Dtype of activations.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// A cache for this decoder: `num_blocks` blocks of `block_len` tokens each, in the dtype of its activations.
    pub fn cache_config(&self, num_blocks: usize, block_len: usize) -> CacheConfig {
        CacheConfig {
            num_layers: self.config.num_hidden_layers,
            num_kv_heads: self.config.attention.num_key_value_heads,
            head_dim: self.config.attention.head_dim,
            num_blocks,
            block_len,
            dtype: self.dtype,
        }
    }

    /// Runs one step: writes the keys and values of all new tokens into the cache and returns what each span wants.
    ///
    /// # Shapes
    /// `batch`: t tokens; per span the shapes of [`Outputs`], in f32.
    ///
    /// # Errors
    /// [`ModelError::Backend`] or [`ModelError::Kv`] if batch, cache and model do not fit together, or the device
    /// fails.
    pub fn forward(&self, batch: &Batch, cache: &mut PagedCache) -> Result<Outputs, ModelError> {
        let device = self.embedding.device();
        let rotations =
            Rotations::new(&batch.layout.positions(), &self.inverse_frequencies, (device, self.dtype))?;
        let step =
            Step { layout: &batch.layout, slots: batch.layout.slots(), rotations, kernels: self.kernels };
        let mut x = embed(&batch.tokens, &self.embedding, self.kernels)?; // [t, e]
        let (last, others) =
            self.layers.split_last().expect("a decoder has layers: its configuration was checked");
        for (layer_idx, layer) in others.iter().enumerate() {
            x = layer.forward(&x, (&mut *cache, layer_idx), &step)?; // [t, e]
        }
        let (rows, layout) = batch.wanted_rows()?;
        match last.forward_last(&x, (cache, others.len()), &step, (&rows, &layout))? {
            Some(x) => self.outputs(batch, &x),
            None => Ok(batch.wanted().map(|_| None).collect()),
        }
    }

    /// Norms and projects the rows that a span asked for.
    ///
    /// # Shapes
    /// `x`: `[wanted rows, e]`
    fn outputs(&self, batch: &Batch, x: &Tensor) -> Result<Outputs, ModelError> {
        let x = rms_norm(x, &self.norm, self.kernels)?;
        let is_wanted = |wanted: fn(Output) -> bool| batch.wanted().any(|(output, _)| wanted(output));
        let logits = is_wanted(is_logits).then(|| self.logits(batch, &x)).transpose()?;
        let states = is_wanted(|output| output == Output::HiddenStates).then(|| on_host(&x)).transpose()?;
        let (mut first_row, mut first_logits) = (0, 0);
        let outputs = batch.wanted().map(|(output, rows)| {
            let len = rows.len();
            let wanted = match (&logits, &states) {
                (Some(logits), _) if is_logits(output) => {
                    first_logits += len;
                    Some(logits.narrow(0, first_logits - len, len)?) // [rows, v]
                }
                (_, Some(states)) if output == Output::HiddenStates => {
                    Some(states.narrow(0, first_row, len)?) // [rows, e]
                }
                _ => None,
            };
            first_row += len;
            Ok(wanted)
        });
        outputs.collect()
    }

    /// Projects the wanted rows that are for logits.
    ///
    /// # Shapes
    /// `x`: `[wanted rows, e]`; result: `[rows for logits, v]` in f32.
    fn logits(&self, batch: &Batch, x: &Tensor) -> Result<Tensor, ModelError> {
        let wanted = batch.wanted().flat_map(|(output, rows)| rows.map(move |_| output));
        let rows: Vec<u32> =
            (0..).zip(wanted).filter(|(_, output)| is_logits(*output)).map(|(i, _)| i).collect();
        let x = match rows.len() == x.dim(0)? {
            true => x.clone(),
            false => x.index_select(&Tensor::new(rows, x.device())?, 0)?, // [rows, e]
        };
        on_host(&linear(&x, &self.head, self.kernels)?) // [rows, v]
    }
}

/// What a step gives away, in f32 on the CPU: copied at once for all spans, and waited for only here.
pub(crate) fn on_host(x: &Tensor) -> Result<Tensor, ModelError> {
    Ok(x.to_dtype(DType::F32)?.to_device(&Device::Cpu)?)
}

fn is_logits(output: Output) -> bool {
    matches!(output, Output::LastLogits | Output::AllLogits)
}
