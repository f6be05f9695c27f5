//! An encoder's configuration: BERT (Devlin et al., arXiv:1810.04805) with absolute positions, as config.json has it.

use std::path::Path;

use super::{json_fields::JsonFields, validate::Checker};
use crate::ModelError;

/// The one architecture there is.
const ARCHITECTURE: &str = "BertModel";
const MODEL_TYPE: &str = "bert";

/// What an encoder looks like. Fields keep their Hugging Face names.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// Width of the residual stream, e.
    pub hidden_size: usize,
    /// Width inside the feed-forward part, f.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of heads, h; each has `hidden_size / num_attention_heads` components, d.
    pub num_attention_heads: usize,
    /// Number of tokens that the embedding knows, v.
    pub vocab_size: usize,
    /// Kinds of tokens; texts are of the first.
    pub type_vocab_size: usize,
    /// Longest text, in tokens: there is an embedding for each position.
    pub max_position_embeddings: usize,
    /// Added to the variance in every norm.
    pub layer_norm_eps: f32,
}

impl EncoderConfig {
    /// Parses config.json from its bytes; `None` if it describes no encoder. `path` is for messages.
    ///
    /// # Errors
    /// Invalid JSON; of an encoder, absent or impossible fields, and features that are not supported.
    pub fn from_json(path: &Path, config: &[u8]) -> Result<Option<Self>, ModelError> {
        let fields = JsonFields::parse(path, config)?;
        let architectures = fields.texts("architectures")?.unwrap_or_default();
        if !architectures.contains(&ARCHITECTURE) {
            return Ok(None);
        }
        refuse_unsupported(&fields)?;
        let config = Self {
            hidden_size: fields.required_size("hidden_size")?,
            intermediate_size: fields.required_size("intermediate_size")?,
            num_hidden_layers: fields.required_size("num_hidden_layers")?,
            num_attention_heads: fields.required_size("num_attention_heads")?,
            vocab_size: fields.required_size("vocab_size")?,
            type_vocab_size: fields.size("type_vocab_size")?.unwrap_or(2),
            max_position_embeddings: fields.required_size("max_position_embeddings")?,
            layer_norm_eps: fields.float("layer_norm_eps")?.unwrap_or(1e-12),
        };
        Checker { path }.encoder(&config)?;
        Ok(Some(config))
    }

    /// Names of the architectures, for messages.
    pub(crate) fn supported() -> &'static str {
        ARCHITECTURE
    }
}

fn refuse_unsupported(fields: &JsonFields<'_>) -> Result<(), ModelError> {
    for (field, supported, text) in [
        ("model_type", "\"bert\"", MODEL_TYPE),
        ("hidden_act", "\"gelu\"", "gelu"),
        ("position_embedding_type", "\"absolute\"", "absolute"),
    ] {
        if let Some(found) = fields.text(field)?.filter(|found| *found != text) {
            return Err(fields.unsupported(field, found, supported));
        }
    }
    for field in ["is_decoder", "add_cross_attention"] {
        if fields.flag(field)? == Some(true) {
            return Err(fields.unsupported(field, "true", "false"));
        }
    }
    if fields.value("quantization_config").is_some() {
        return Err(fields.unsupported("quantization_config", "present", "dense weights"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINILM: &str = r#"{"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": 384,
        "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 12, "vocab_size": 30522,
        "type_vocab_size": 2, "max_position_embeddings": 512, "layer_norm_eps": 1e-12}"#;

    fn read(json: &str) -> Result<Option<EncoderConfig>, ModelError> {
        EncoderConfig::from_json(Path::new("config.json"), json.as_bytes())
    }

    fn check_refused(from: &str, to: &str, expected: &str) {
        assert!(MINILM.contains(from), "{from}");
        let error = read(&MINILM.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn an_encoder_is_read() {
        let config = read(MINILM).unwrap().unwrap();
        assert_eq!((config.hidden_size, config.num_attention_heads, config.type_vocab_size), (384, 12, 2));
    }

    #[test]
    fn other_architectures_are_no_encoders() {
        assert_eq!(read(r#"{"architectures": ["LlamaForCausalLM"]}"#).unwrap(), None);
        assert_eq!(read("{}").unwrap(), None);
    }

    #[test]
    fn what_is_not_computed_is_refused_with_its_name() {
        check_refused("\"gelu\"", "\"relu\"", "hidden_act");
        check_refused("\"model_type\": \"bert\"", "\"model_type\": \"nomic_bert\"", "model_type");
        check_refused(
            "{\"arch",
            "{\"position_embedding_type\": \"relative_key\", \"arch",
            "position_embedding_type",
        );
        check_refused("{\"arch", "{\"is_decoder\": true, \"arch", "is_decoder");
    }

    #[test]
    fn impossible_sizes_are_refused_with_their_names() {
        check_refused("\"hidden_size\": 384", "\"hidden_size\": 0", "hidden_size");
        check_refused("\"num_attention_heads\": 12", "\"num_attention_heads\": 7", "num_attention_heads");
        check_refused("\"max_position_embeddings\": 512", "\"max_position_embeddings\": 0", "max_position");
        check_refused("\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": -1", "layer_norm_eps");
    }
}
