//! GGUF metadata as a configuration. What metadata does not say, the tensors tell.

use std::path::Path;

use super::{
    AttentionBias, AttentionConfig, DecoderConfig, RopeConfig, RopeScaling, SlidingWindow, SpecialTokens,
    WindowedLayers,
};
use crate::{
    ModelError,
    checkpoint::gguf::{FromGguf, Gguf},
    error::excerpt,
    families::{BiasRule, Family, GgufNaming},
};

const ARCHITECTURE_KEY: &str = "general.architecture";
const DEFAULT_THETA: f32 = 10_000.0; // llama.cpp's, for files that do not say
const BOS_KEY: &str = "tokenizer.ggml.bos_token_id";
/// Any of these tokens ends an answer.
const EOS_KEYS: [&str; 3] =
    ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];
const SPLIT_KEY: &str = "split.count";
const EMBEDDING: &str = "token_embd.weight";

impl DecoderConfig {
    /// Reads the configuration out of a parsed GGUF file.
    ///
    /// Llama 3's scaling is not in the metadata: such files carry its factors as tensor `rope_freqs.weight`.
    ///
    /// # Errors
    /// Absent or impossible keys, families and features that are not supported.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, ModelError> {
        let source = Source::new(gguf)?;
        source.refuse_unsupported()?;
        let hidden_size = source.required_size("embedding_length")?;
        let config = Self {
            family: source.family,
            hidden_size,
            intermediate_size: source.required_size("feed_forward_length")?,
            num_hidden_layers: source.required_size("block_count")?,
            vocab_size: source.vocab_size()?,
            max_position_embeddings: source.required_size("context_length")?,
            rms_norm_eps: source.required("attention.layer_norm_rms_epsilon")?,
            tie_word_embeddings: !source.has_tensor("output.weight"),
            attention: source.attention(hidden_size)?,
            rope: source.rope()?,
            special_tokens: source.special_tokens()?,
        };
        source.check_rotated_dims(config.attention.head_dim)?;
        config.validated(source.path())
    }
}

/// A file together with the family that it says it is of.
struct Source<'a> {
    gguf: &'a Gguf,
    family: &'static Family,
    naming: GgufNaming,
}

impl<'a> Source<'a> {
    fn new(gguf: &'a Gguf) -> Result<Self, ModelError> {
        let architecture: &str = gguf.metadata.required(ARCHITECTURE_KEY)?;
        let (family, naming) =
            Family::of_gguf_architecture(architecture).ok_or_else(|| ModelError::UnsupportedFamily {
                path: gguf.metadata.path().to_owned(),
                found: excerpt(architecture),
                supported: Family::supported(),
            })?;
        Ok(Self { gguf, family, naming })
    }

    fn path(&self) -> &Path {
        self.gguf.metadata.path()
    }

    /// The full key: `llama.block_count` for `block_count`.
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.naming.architecture)
    }

    fn required<T: FromGguf<'a>>(&self, name: &str) -> Result<T, ModelError> {
        self.gguf.metadata.required(&self.key(name))
    }

    fn optional<T: FromGguf<'a>>(&self, name: &str) -> Result<Option<T>, ModelError> {
        self.gguf.metadata.optional(&self.key(name))
    }

    fn required_size(&self, name: &str) -> Result<usize, ModelError> {
        self.required::<u32>(name).map(|size| size as usize)
    }

    fn optional_size(&self, name: &str) -> Result<Option<usize>, ModelError> {
        Ok(self.optional::<u32>(name)?.map(|size| size as usize))
    }

    fn has_tensor(&self, name: &str) -> bool {
        self.gguf.tensors.summary(name).is_some()
    }

    fn unsupported(&self, name: &str, found: impl ToString, supported: &'static str) -> ModelError {
        ModelError::Unsupported {
            path: self.path().to_owned(),
            field: self.key(name),
            found: excerpt(&found.to_string()),
            supported,
        }
    }

    fn refuse_unsupported(&self) -> Result<(), ModelError> {
        if let Some(experts) = self.optional_size("expert_count")?.filter(|&count| count > 0) {
            return Err(self.unsupported("expert_count", experts, "0"));
        }
        if let Some(parts) = self.gguf.metadata.optional::<u32>(SPLIT_KEY)?.filter(|&parts| parts > 1) {
            return Err(ModelError::Unsupported {
                path: self.path().to_owned(),
                field: SPLIT_KEY.to_owned(),
                found: parts.to_string(),
                supported: "one file; merge the parts",
            });
        }
        let pattern = "attention.sliding_window_pattern";
        if self.gguf.metadata.contains(&self.key(pattern)) {
            return Err(self.unsupported(pattern, "present", "one window for all layers"));
        }
        Ok(())
    }

    /// The embedding's rows, which is what counts; some files do not say otherwise.
    fn vocab_size(&self) -> Result<usize, ModelError> {
        let embedding = self.gguf.tensors.summary(EMBEDDING);
        let rows = embedding.and_then(|summary| summary.shape.first());
        rows.copied().ok_or_else(|| ModelError::MissingTensor {
            path: self.path().to_owned(),
            tensor: EMBEDDING.to_owned(),
        })
    }

    fn attention(&self, hidden_size: usize) -> Result<AttentionConfig, ModelError> {
        let num_attention_heads = self.required_size("attention.head_count")?;
        let head_dim = match self.optional_size("attention.key_length")? {
            Some(head_dim) => head_dim,
            // Zero heads are for validate.rs to refuse.
            None => hidden_size.checked_div(num_attention_heads).unwrap_or(0),
        };
        if let Some(len) = self.optional_size("attention.value_length")?.filter(|&len| len != head_dim) {
            return Err(self.unsupported("attention.value_length", len, "that of the keys"));
        }
        let window = self.optional_size("attention.sliding_window")?.filter(|&size| size > 0);
        Ok(AttentionConfig {
            num_attention_heads,
            num_key_value_heads: self
                .optional_size("attention.head_count_kv")?
                .unwrap_or(num_attention_heads),
            head_dim,
            sliding_window: window.map(|size| SlidingWindow { size, layers: WindowedLayers::All }),
            bias: self.bias(),
            qk_norm: self.family.qk_norm,
        })
    }

    fn bias(&self) -> AttentionBias {
        match self.family.bias {
            BiasRule::Fixed(bias) => bias,
            BiasRule::Configured if self.has_tensor("blk.0.attn_output.bias") => AttentionBias::QkvOutput,
            BiasRule::Configured if self.has_tensor("blk.0.attn_q.bias") => AttentionBias::Qkv,
            BiasRule::Configured => AttentionBias::Absent,
        }
    }

    fn rope(&self) -> Result<RopeConfig, ModelError> {
        let scaling_type = self.optional::<&str>("rope.scaling.type")?;
        let factor = match self.optional("rope.scaling.factor")? {
            Some(factor) => Some(factor),
            None => self.optional("rope.scale_linear")?, // the older name
        };
        let scaling = match (scaling_type, factor) {
            (Some("none"), _) => RopeScaling::Unscaled,
            // Without a type llama.cpp takes the factor for a linear one, and 0 or 1 for none.
            (Some("linear") | None, None | Some(0.0 | 1.0)) => RopeScaling::Unscaled,
            (Some("linear") | None, Some(factor)) => RopeScaling::Linear { factor },
            (Some(other), _) => {
                return Err(self.unsupported("rope.scaling.type", other, "\"none\", \"linear\""));
            }
        };
        Ok(RopeConfig {
            rope_theta: self.optional("rope.freq_base")?.unwrap_or(DEFAULT_THETA),
            scaling,
            layout: self.naming.rope_layout,
        })
    }

    fn check_rotated_dims(&self, head_dim: usize) -> Result<(), ModelError> {
        match self.optional_size("rope.dimension_count")? {
            Some(rotated) if rotated != head_dim => {
                Err(self.unsupported("rope.dimension_count", rotated, "the whole head"))
            }
            _ => Ok(()),
        }
    }

    fn special_tokens(&self) -> Result<SpecialTokens, ModelError> {
        let mut eos_token_ids = Vec::new();
        for key in EOS_KEYS {
            let id = self.gguf.metadata.optional(key)?;
            eos_token_ids.extend(id.filter(|id| !eos_token_ids.contains(id)));
        }
        Ok(SpecialTokens { bos_token_id: self.gguf.metadata.optional(BOS_KEY)?, eos_token_ids })
    }
}
