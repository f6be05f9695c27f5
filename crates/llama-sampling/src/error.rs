//! What can go wrong between logits and a token.

/// Errors of sampling.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingError {
    /// A parameter outside its range. Use a value inside.
    #[error("{parameter} is {found}, expected {range}")]
    OutOfRange {
        /// The parameter.
        parameter: &'static str,
        /// Its value.
        found: String,
        /// The values that make sense.
        range: &'static str,
    },
    /// The order of the stages cannot be followed. Correct it.
    #[error("order: {stage} {problem}")]
    Order {
        /// The stage.
        stage: &'static str,
        /// What is wrong with its place.
        problem: &'static str,
    },
    /// The logits hold a NaN or plus infinity: the model's weights or its computation are broken.
    #[error("the logit of token {token} is {found}")]
    NotFinite {
        /// The first such token.
        token: usize,
        /// Its logit.
        found: f32,
    },
    /// Every token has been ruled out.
    #[error("no token is left to choose from")]
    NoCandidate,
    /// A processor cannot go on. What to do is for its source to say.
    #[error("processor {name} failed")]
    Processor {
        /// The processor.
        name: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Passes a number on that is in its range.
pub(crate) fn in_range(
    parameter: &'static str,
    found: f32,
    (is_inside, range): (bool, &'static str),
) -> Result<f32, SamplingError> {
    if is_inside {
        return Ok(found);
    }
    Err(SamplingError::OutOfRange { parameter, found: found.to_string(), range })
}

/// Passes a count on that is not zero.
pub(crate) fn at_least_one(parameter: &'static str, found: usize) -> Result<usize, SamplingError> {
    match found {
        0 => Err(SamplingError::OutOfRange { parameter, found: found.to_string(), range: "at least 1" }),
        _ => Ok(found),
    }
}
