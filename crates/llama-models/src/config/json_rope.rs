//! The rotary embedding in config.json: `rope_parameters` of transformers 5, or `rope_theta` and `rope_scaling`
//! of transformers 4.

use llama_backend::ops::rope::RopeLayout;

use super::{RopeConfig, RopeScaling, json_fields::JsonFields};
use crate::ModelError;

const DEFAULT_THETA: f32 = 10_000.0; // of every family here
const SUPPORTED_TYPES: &str = "\"default\", \"linear\", \"llama3\"";

/// Reads either form. A scaling beside new-style parameters wins, as in transformers 5.
pub(super) fn read(config: &JsonFields<'_>) -> Result<RopeConfig, ModelError> {
    let scaling = config.object("rope_scaling", "rope_scaling.")?;
    let parameters = match scaling {
        Some(scaling) => Some(scaling),
        None => config.object("rope_parameters", "rope_parameters.")?,
    };
    let own_theta = match &parameters {
        Some(parameters) => parameters.float("rope_theta")?,
        None => None,
    };
    let rope_theta = match own_theta {
        Some(theta) => theta,
        None => config.float("rope_theta")?.unwrap_or(DEFAULT_THETA),
    };
    refuse_partial(config)?;
    let scaling = match &parameters {
        Some(parameters) => {
            refuse_partial(parameters)?;
            read_scaling(config, parameters)?
        }
        None => RopeScaling::Unscaled,
    };
    Ok(RopeConfig { rope_theta, scaling, layout: RopeLayout::Halves })
}

fn read_scaling(config: &JsonFields<'_>, parameters: &JsonFields<'_>) -> Result<RopeScaling, ModelError> {
    let required = |field| parameters.float(field)?.ok_or_else(|| parameters.missing(field));
    let rope_type = match parameters.text("rope_type")? {
        Some(rope_type) => rope_type,
        None => parameters.text("type")?.unwrap_or("default"),
    };
    match rope_type {
        "default" => {
            // One object per layer type: some layers would rotate otherwise than others.
            for field in ["full_attention", "sliding_attention"] {
                if parameters.contains(field) {
                    return Err(parameters.unsupported(field, "per layer type", "one set for all layers"));
                }
            }
            Ok(RopeScaling::Unscaled)
        }
        "linear" => Ok(RopeScaling::Linear { factor: required("factor")? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: required("factor")?,
            low_freq_factor: required("low_freq_factor")?,
            high_freq_factor: required("high_freq_factor")?,
            original_max_position_embeddings: match parameters.size("original_max_position_embeddings")? {
                Some(len) => len,
                None => config.required_size("max_position_embeddings")?,
            },
        }),
        other => Err(parameters.unsupported("rope_type", other, SUPPORTED_TYPES)),
    }
}

fn refuse_partial(fields: &JsonFields<'_>) -> Result<(), ModelError> {
    match fields.float("partial_rotary_factor")? {
        Some(factor) if factor != 1.0 => {
            Err(fields.unsupported("partial_rotary_factor", &factor.to_string(), "1.0"))
        }
        _ => Ok(()),
    }
}
