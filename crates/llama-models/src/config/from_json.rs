//! config.json and generation_config.json, as transformers 4 and 5 write them.

use std::path::Path;

use super::{
    AttentionBias, AttentionConfig, DecoderConfig, SlidingWindow, SpecialTokens, WindowedLayers,
    json_fields::JsonFields, json_rope,
};
use crate::{
    ModelError,
    error::excerpt,
    families::{BiasRule, Family, WindowRule},
};

const DEFAULT_RMS_NORM_EPS: f32 = 1e-6; // of every family here
const GENERATION_CONFIG: &str = "generation_config.json";

impl DecoderConfig {
    /// Parses config.json, and generation_config.json if there is one, from their bytes.
    ///
    /// `path` is that of config.json and only for messages.
    ///
    /// # Errors
    /// Invalid JSON, absent or impossible fields, families and features that are not supported.
    pub fn from_json(path: &Path, config: &[u8], generation: Option<&[u8]>) -> Result<Self, ModelError> {
        let fields = JsonFields::parse(path, config)?;
        let generation = generation
            .map(|json| JsonFields::parse(&path.with_file_name(GENERATION_CONFIG), json))
            .transpose()?;
        let family = family(&fields)?;
        refuse_unsupported(&fields)?;
        let config = Self {
            family,
            hidden_size: fields.required_size("hidden_size")?,
            intermediate_size: fields.required_size("intermediate_size")?,
            num_hidden_layers: fields.required_size("num_hidden_layers")?,
            vocab_size: fields.required_size("vocab_size")?,
            max_position_embeddings: fields.required_size("max_position_embeddings")?,
            rms_norm_eps: fields.float("rms_norm_eps")?.unwrap_or(DEFAULT_RMS_NORM_EPS),
            tie_word_embeddings: fields.flag("tie_word_embeddings")?.unwrap_or(false),
            attention: attention(&fields, family)?,
            rope: json_rope::read(&fields)?,
            special_tokens: special_tokens(&fields, generation.as_ref())?,
        };
        config.validated(path)
    }
}

fn family(fields: &JsonFields<'_>) -> Result<&'static Family, ModelError> {
    let architectures = fields.texts("architectures")?.unwrap_or_default();
    let found = match (architectures.as_slice(), fields.text("model_type")?) {
        ([], None) => return Err(fields.missing("architectures")),
        ([], Some(model_type)) => (model_type.to_owned(), Family::of_model_type(model_type)),
        (names, _) => (names.join(", "), names.iter().find_map(|name| Family::of_architecture(name))),
    };
    found.1.ok_or_else(|| ModelError::UnsupportedFamily {
        path: fields.path().to_owned(),
        found: excerpt(&found.0),
        supported: Family::supported(),
    })
}

fn refuse_unsupported(fields: &JsonFields<'_>) -> Result<(), ModelError> {
    match fields.text("hidden_act")? {
        None | Some("silu" | "swish") => {}
        Some(other) => return Err(fields.unsupported("hidden_act", other, "\"silu\"")),
    }
    if fields.flag("mlp_bias")? == Some(true) {
        return Err(fields.unsupported("mlp_bias", "true", "false"));
    }
    if fields.value("quantization_config").is_some() {
        return Err(fields.unsupported("quantization_config", "present", "dense weights, or GGUF"));
    }
    Ok(())
}

fn attention(fields: &JsonFields<'_>, family: &Family) -> Result<AttentionConfig, ModelError> {
    let num_attention_heads = fields.required_size("num_attention_heads")?;
    let head_dim = match (fields.size("head_dim")?, family.default_head_dim) {
        (Some(head_dim), _) => head_dim,
        (None, Some(default)) => default,
        // Zero heads are for validate.rs to refuse.
        (None, None) => fields.required_size("hidden_size")?.checked_div(num_attention_heads).unwrap_or(0),
    };
    Ok(AttentionConfig {
        num_attention_heads,
        num_key_value_heads: fields.size("num_key_value_heads")?.unwrap_or(num_attention_heads),
        head_dim,
        sliding_window: sliding_window(fields, family.window)?,
        bias: match family.bias {
            BiasRule::Fixed(bias) => bias,
            BiasRule::Configured => match fields.flag("attention_bias")? {
                Some(true) => AttentionBias::QkvOutput,
                Some(false) | None => AttentionBias::Absent,
            },
        },
        qk_norm: family.qk_norm,
    })
}

/// Null is no window; an absent field is the family's default window.
fn sliding_window(fields: &JsonFields<'_>, rule: WindowRule) -> Result<Option<SlidingWindow>, ModelError> {
    let size = |default| match fields.contains("sliding_window") {
        true => fields.size("sliding_window"),
        false => Ok(Some(default)),
    };
    let (size, layers) = match rule {
        WindowRule::Never => return Ok(None),
        WindowRule::EveryLayer { default_sliding_window } => {
            (size(default_sliding_window)?, WindowedLayers::All)
        }
        WindowRule::Gated { .. } if fields.flag("use_sliding_window")? != Some(true) => return Ok(None),
        WindowRule::Gated { default_sliding_window, default_max_window_layers } => {
            (size(default_sliding_window)?, windowed_layers(fields, default_max_window_layers)?)
        }
    };
    Ok(size.map(|size| SlidingWindow { size, layers }))
}

fn windowed_layers(
    fields: &JsonFields<'_>,
    default_max_window_layers: usize,
) -> Result<WindowedLayers, ModelError> {
    let Some(types) = fields.texts("layer_types")? else {
        let first = fields.size("max_window_layers")?;
        return Ok(WindowedLayers::From(first.unwrap_or(default_max_window_layers)));
    };
    let listed = types.into_iter().map(|layer_type| match layer_type {
        "sliding_attention" => Ok(true),
        "full_attention" => Ok(false),
        other => Err(fields.unsupported("layer_types", other, "\"sliding_attention\", \"full_attention\"")),
    });
    Ok(WindowedLayers::Listed(listed.collect::<Result<_, _>>()?))
}

fn special_tokens(
    config: &JsonFields<'_>,
    generation: Option<&JsonFields<'_>>,
) -> Result<SpecialTokens, ModelError> {
    let ids = |field| -> Result<Vec<u32>, ModelError> {
        let generation = generation.map(|fields| fields.token_ids(field)).transpose()?.flatten();
        match generation {
            Some(ids) => Ok(ids),
            None => Ok(config.token_ids(field)?.unwrap_or_default()),
        }
    };
    Ok(SpecialTokens {
        bos_token_id: ids("bos_token_id")?.first().copied(),
        eos_token_ids: ids("eos_token_id")?,
    })
}
