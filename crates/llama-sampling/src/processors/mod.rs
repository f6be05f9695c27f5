//! The standard processors, one file each, and the order in which they are applied.

mod min_p;
mod temperature;
mod top_k;
mod top_p;

pub use min_p::MinP;
pub use temperature::Temperature;
pub use top_k::TopK;
pub use top_p::TopP;

use crate::{Processor, SamplerConfig, SamplingError};

/// The processors that a configuration asks for, in the order of transformers: temperature, top-k, top-p, min-p.
/// None of them for temperature 0, which always takes the most likely token.
///
/// # Errors
/// [`SamplingError::OutOfRange`]
pub fn standard_processors(config: &SamplerConfig) -> Result<Vec<Box<dyn Processor>>, SamplingError> {
    let mut processors: Vec<Box<dyn Processor>> = Vec::new();
    let temperature = Temperature::new(config.temperature)?;
    if config.temperature != 1.0 {
        processors.push(Box::new(temperature));
    }
    if let Some(k) = config.top_k {
        processors.push(Box::new(TopK::new(k)?));
    }
    if let Some(p) = config.top_p {
        processors.push(Box::new(TopP::new(p)?));
    }
    if let Some(p) = config.min_p {
        processors.push(Box::new(MinP::new(p)?));
    }
    if config.temperature == 0.0 {
        processors.clear();
    }
    Ok(processors)
}
