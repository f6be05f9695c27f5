//! The one place that decides whether a configuration is possible.

use std::path::Path;

use super::{DecoderConfig, EncoderConfig, RopeConfig, RopeScaling, WindowedLayers};
use crate::ModelError;

const MAX_LAYERS: usize = 1 << 12;
const MAX_HEADS: usize = 1 << 12;
const MAX_HEAD_DIM: usize = 1 << 12;
const MAX_HIDDEN_SIZE: usize = 1 << 20;
const MAX_INTERMEDIATE_SIZE: usize = 1 << 22;
const MAX_VOCAB_SIZE: usize = 1 << 24;
const MAX_POSITIONS: usize = 1 << 28;
/// The largest weight, in elements: far above any real one, and its bytes still count in a u64.
const MAX_ELEMENTS: u64 = 1 << 48;

impl DecoderConfig {
    /// The configuration itself, if it is possible. `path` is for messages.
    pub(super) fn validated(self, path: &Path) -> Result<Self, ModelError> {
        let check = Checker { path };
        check.sizes(&self)?;
        check.heads(&self)?;
        check.window(&self)?;
        check.positive("rms_norm_eps", self.rms_norm_eps)?;
        check.rope(&self.rope)?;
        check.token_ids(&self)?;
        Ok(self)
    }
}

pub(super) struct Checker<'a> {
    pub(super) path: &'a Path,
}

impl Checker<'_> {
    /// Checks an encoder's configuration.
    pub(super) fn encoder(&self, config: &EncoderConfig) -> Result<(), ModelError> {
        self.size("hidden_size", config.hidden_size, MAX_HIDDEN_SIZE)?;
        self.size("intermediate_size", config.intermediate_size, MAX_INTERMEDIATE_SIZE)?;
        self.size("num_hidden_layers", config.num_hidden_layers, MAX_LAYERS)?;
        self.size("num_attention_heads", config.num_attention_heads, MAX_HEADS)?;
        self.size("vocab_size", config.vocab_size, MAX_VOCAB_SIZE)?;
        self.size("type_vocab_size", config.type_vocab_size, MAX_VOCAB_SIZE)?;
        self.size("max_position_embeddings", config.max_position_embeddings, MAX_POSITIONS)?;
        self.positive("layer_norm_eps", config.layer_norm_eps)?;
        if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            return Err(self.field(
                "num_attention_heads",
                format!("a divisor of hidden_size, {}", config.hidden_size),
                config.num_attention_heads.to_string(),
            ));
        }
        Ok(())
    }

    fn sizes(&self, config: &DecoderConfig) -> Result<(), ModelError> {
        self.size("hidden_size", config.hidden_size, MAX_HIDDEN_SIZE)?;
        self.size("intermediate_size", config.intermediate_size, MAX_INTERMEDIATE_SIZE)?;
        self.size("num_hidden_layers", config.num_hidden_layers, MAX_LAYERS)?;
        self.size("vocab_size", config.vocab_size, MAX_VOCAB_SIZE)?;
        self.size("max_position_embeddings", config.max_position_embeddings, MAX_POSITIONS)?;
        let widest =
            (config.intermediate_size.max(config.vocab_size) as u64).checked_mul(config.hidden_size as u64);
        if widest.is_none_or(|elements| elements > MAX_ELEMENTS || usize::try_from(elements * 4).is_err()) {
            return Err(self.field(
                "hidden_size",
                "weights that can be addressed".to_owned(),
                format!(
                    "{} beside intermediate_size {} and vocab_size {}",
                    config.hidden_size, config.intermediate_size, config.vocab_size
                ),
            ));
        }
        Ok(())
    }

    fn heads(&self, config: &DecoderConfig) -> Result<(), ModelError> {
        let attention = &config.attention;
        self.size("num_attention_heads", attention.num_attention_heads, MAX_HEADS)?;
        self.size("num_key_value_heads", attention.num_key_value_heads, MAX_HEADS)?;
        self.size("head_dim", attention.head_dim, MAX_HEAD_DIM)?;
        if !attention.num_attention_heads.is_multiple_of(attention.num_key_value_heads) {
            return Err(self.field(
                "num_key_value_heads",
                format!("a divisor of num_attention_heads, {}", attention.num_attention_heads),
                attention.num_key_value_heads.to_string(),
            ));
        }
        if !attention.head_dim.is_multiple_of(2) {
            let expected = "an even number, for rotary pairs".to_owned();
            return Err(self.field("head_dim", expected, attention.head_dim.to_string()));
        }
        Ok(())
    }

    fn window(&self, config: &DecoderConfig) -> Result<(), ModelError> {
        let Some(window) = &config.attention.sliding_window else {
            return Ok(());
        };
        self.size("sliding_window", window.size, MAX_POSITIONS)?;
        match &window.layers {
            WindowedLayers::Listed(layers) if layers.len() != config.num_hidden_layers => {
                let expected = format!("num_hidden_layers, {}, entries", config.num_hidden_layers);
                Err(self.field("layer_types", expected, layers.len().to_string()))
            }
            WindowedLayers::All | WindowedLayers::From(_) | WindowedLayers::Listed(_) => Ok(()),
        }
    }

    fn rope(&self, rope: &RopeConfig) -> Result<(), ModelError> {
        self.positive("rope_theta", rope.rope_theta)?;
        match rope.scaling {
            RopeScaling::Unscaled => Ok(()),
            RopeScaling::Linear { factor } => self.positive("factor", factor),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                self.positive("factor", factor)?;
                self.positive("low_freq_factor", low_freq_factor)?;
                self.positive("high_freq_factor", high_freq_factor)?;
                let len = original_max_position_embeddings;
                self.size("original_max_position_embeddings", len, MAX_POSITIONS)?;
                if high_freq_factor <= low_freq_factor {
                    let expected = format!("more than low_freq_factor, {low_freq_factor}");
                    return Err(self.field("high_freq_factor", expected, high_freq_factor.to_string()));
                }
                Ok(())
            }
        }
    }

    fn token_ids(&self, config: &DecoderConfig) -> Result<(), ModelError> {
        let bos = config.special_tokens.bos_token_id.map(|id| ("bos_token_id", id));
        let eos = config.special_tokens.eos_token_ids.iter().map(|&id| ("eos_token_id", id));
        match bos.into_iter().chain(eos).find(|&(_, id)| id as usize >= config.vocab_size) {
            Some((field, id)) => {
                let expected = format!("less than vocab_size, {}", config.vocab_size);
                Err(self.field(field, expected, id.to_string()))
            }
            None => Ok(()),
        }
    }

    fn size(&self, field: &str, found: usize, max: usize) -> Result<(), ModelError> {
        if (1..=max).contains(&found) {
            return Ok(());
        }
        Err(self.field(field, format!("1 to {max}"), found.to_string()))
    }

    fn positive(&self, field: &str, found: f32) -> Result<(), ModelError> {
        if found.is_finite() && found > 0.0 {
            return Ok(());
        }
        Err(self.field(field, "a finite positive number".to_owned(), found.to_string()))
    }

    fn field(&self, field: &str, expected: String, found: String) -> ModelError {
        ModelError::Field { path: self.path.to_owned(), field: field.to_owned(), expected, found }
    }
}
