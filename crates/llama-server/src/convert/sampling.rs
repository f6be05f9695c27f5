//! How tokens are chosen. Ranges are the engine's to check.

use llama_engine::{Dry, DynamicTemperature, Mirostat, MirostatVersion, Penalties, Sampling, Stage, Xtc};
use llama_openai::{SamplerExtensions, SamplingOptions};

use super::count;
use crate::error::ApiError;

pub(crate) fn sampling(
    options: &SamplingOptions,
    extensions: SamplerExtensions,
    seed: Option<u64>,
) -> Result<Sampling, ApiError> {
    let dynamic = extensions.dynamic_temperature;
    Ok(Sampling {
        temperature: options.temperature.unwrap_or(1.0),
        dynamic_temperature: dynamic.map(|it| DynamicTemperature { range: it.range, exponent: it.exponent }),
        top_k: extensions.top_k.map(count),
        top_p: options.top_p,
        min_p: extensions.min_p,
        typical_p: extensions.typical_p,
        top_n_sigma: extensions.top_n_sigma,
        xtc: extensions.xtc.map(|it| Xtc { probability: it.probability, threshold: it.threshold }),
        mirostat: extensions.mirostat.map(mirostat).transpose()?,
        order: extensions.sampler_order.as_deref().map(order).transpose()?,
        penalties: penalties(options, extensions),
        seed,
    })
}

fn penalties(options: &SamplingOptions, extensions: SamplerExtensions) -> Penalties {
    Penalties {
        repetition: extensions.repetition_penalty.unwrap_or(1.0),
        frequency: options.frequency_penalty.unwrap_or(0.0),
        presence: options.presence_penalty.unwrap_or(0.0),
        last_n: extensions.penalty_last_n.map(count),
        dry: extensions.dry.map(|dry| Dry {
            multiplier: dry.multiplier,
            base: dry.base,
            allowed_len: count(dry.allowed_len),
            last_n: dry.last_n.map(count),
            breakers: dry.breakers,
        }),
    }
}

fn mirostat(mirostat: llama_openai::Mirostat) -> Result<Mirostat, ApiError> {
    let version = match mirostat.version {
        1 => MirostatVersion::One,
        2 => MirostatVersion::Two,
        other => return Err(ApiError::invalid("mirostat.version", format!("{other}, expected 1 or 2"))),
    };
    Ok(Mirostat { version, tau: mirostat.tau, eta: mirostat.eta })
}

fn order(names: &[String]) -> Result<Vec<Stage>, ApiError> {
    let stage = |name: &String| {
        let known = || Stage::STANDARD.map(Stage::name).join(", ");
        Stage::from_name(name).ok_or_else(|| {
            ApiError::invalid("sampler_order", format!("no stage is called that; known: {}", known()))
        })
    };
    names.iter().map(stage).collect()
}
