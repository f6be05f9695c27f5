//! The processors, one file each, and the order in which they are applied.

mod allowed_tokens;
mod banned_tokens;
mod dry;
mod dynamic_temperature;
mod logit_bias;
mod min_p;
mod min_tokens;
mod mirostat;
mod penalties;
mod temperature;
mod top_k;
mod top_n_sigma;
mod top_p;
mod typical_p;
mod xtc;

#[cfg(test)]
mod testing;

pub use allowed_tokens::AllowedTokens;
pub use banned_tokens::BannedTokens;
pub use dry::Dry;
pub use dynamic_temperature::DynamicTemperature;
pub use logit_bias::LogitBias;
pub use min_p::MinP;
pub use min_tokens::MinTokens;
pub use mirostat::Mirostat;
pub use penalties::Penalties;
pub use temperature::Temperature;
pub use top_k::TopK;
pub use top_n_sigma::TopNSigma;
pub use top_p::TopP;
pub use typical_p::TypicalP;
pub use xtc::Xtc;

use llama_engine::{Sampling, Stage, TokenRules};

use crate::{Processor, SamplingError};

/// What an engine adds to the parameters of a request.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// The request's seed, or one of the engine's choice.
    pub seed: u64,
    /// The tokens for the texts in [`llama_engine::Dry::breakers`].
    pub breakers: Vec<u32>,
}

/// The processors for single tokens, which come before all others.
///
/// # Errors
/// [`SamplingError::OutOfRange`]
pub fn token_processors(
    rules: &TokenRules,
    end_tokens: &[u32],
) -> Result<Vec<Box<dyn Processor>>, SamplingError> {
    let mut processors: Vec<Box<dyn Processor>> = Vec::new();
    if let Some(allowed) = &rules.allowed {
        processors.push(Box::new(AllowedTokens::new(allowed.clone())?));
    }
    if !rules.banned.is_empty() {
        processors.push(Box::new(BannedTokens::new(rules.banned.clone())));
    }
    if rules.min_tokens > 0 {
        let ends = [end_tokens, &rules.stop].concat();
        processors.push(Box::new(MinTokens::new(rules.min_tokens, ends)));
    }
    if !rules.bias.is_empty() {
        processors.push(Box::new(LogitBias::new(rules.bias.clone())?));
    }
    Ok(processors)
}

/// The processors that a request asks for, in its order. At temperature 0 only penalties: what cuts off would keep the
/// most likely token, or is there to avoid it. All ranges are checked even so.
///
/// # Errors
/// [`SamplingError::OutOfRange`], [`SamplingError::Order`]
pub fn standard_processors(
    sampling: &Sampling,
    resolved: &Resolved,
) -> Result<Vec<Box<dyn Processor>>, SamplingError> {
    let order = sampling.order.as_deref().unwrap_or(&Stage::STANDARD);
    let problem = |stage: Stage, problem| Err(SamplingError::Order { stage: stage.name(), problem });
    let mut processors = Vec::new();
    for (i, &stage) in order.iter().enumerate() {
        if order[..i].contains(&stage) {
            return problem(stage, "comes twice");
        }
        let built = build(stage, sampling, resolved)?;
        let applies = sampling.temperature > 0.0 || matches!(stage, Stage::Penalties | Stage::Dry);
        processors.extend(built.filter(|_| applies));
    }
    for stage in Stage::STANDARD {
        if !order.contains(&stage) && build(stage, sampling, resolved)?.is_some() {
            return problem(stage, "is asked for, but has no place");
        }
    }
    Ok(processors)
}

/// The processor of one stage, if the request uses it. This is the list.
fn build(
    stage: Stage,
    sampling: &Sampling,
    resolved: &Resolved,
) -> Result<Option<Box<dyn Processor>>, SamplingError> {
    let Sampling { temperature, penalties, .. } = sampling;
    match stage {
        Stage::Penalties => {
            let processor = Penalties::new(penalties)?;
            Ok(if processor.is_neutral() { None } else { Some(Box::new(processor)) })
        }
        Stage::Dry => boxed(&penalties.dry, |config| Dry::new(config, resolved.breakers.clone())),
        Stage::Temperature => {
            let plain = Temperature::new(*temperature)?;
            match &sampling.dynamic_temperature {
                Some(config) => Ok(Some(Box::new(DynamicTemperature::new(*temperature, config)?))),
                None if *temperature == 1.0 => Ok(None),
                None => Ok(Some(Box::new(plain))),
            }
        }
        Stage::TopNSigma => boxed(&sampling.top_n_sigma, |n| TopNSigma::new(*n)),
        Stage::TopK => boxed(&sampling.top_k, |k| TopK::new(*k)),
        Stage::TypicalP => boxed(&sampling.typical_p, |p| TypicalP::new(*p)),
        Stage::TopP => boxed(&sampling.top_p, |p| TopP::new(*p)),
        Stage::MinP => boxed(&sampling.min_p, |p| MinP::new(*p)),
        Stage::Xtc => boxed(&sampling.xtc, |config| Xtc::new(config, resolved.seed)),
        Stage::Mirostat => boxed(&sampling.mirostat, Mirostat::new),
    }
}

fn boxed<T, P: Processor + 'static>(
    parameters: &Option<T>,
    build: impl FnOnce(&T) -> Result<P, SamplingError>,
) -> Result<Option<Box<dyn Processor>>, SamplingError> {
    Ok(match parameters {
        Some(parameters) => Some(Box::new(build(parameters)?)),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sampling: &Sampling) -> Result<Vec<&'static str>, SamplingError> {
        let processors = standard_processors(sampling, &Resolved::default())?;
        Ok(processors.iter().map(|processor| processor.name()).collect())
    }

    /// Everything that there is.
    fn everything() -> Sampling {
        Sampling {
            temperature: 0.7,
            dynamic_temperature: None,
            top_k: Some(5),
            top_p: Some(0.9),
            min_p: Some(0.1),
            typical_p: Some(0.8),
            top_n_sigma: Some(1.0),
            xtc: Some(Default::default()),
            penalties: llama_engine::Penalties {
                repetition: 1.1,
                dry: Some(Default::default()),
                ..Default::default()
            },
            mirostat: Some(Default::default()),
            order: None,
            seed: None,
        }
    }

    #[test]
    fn all_come_in_the_standard_order() {
        let standard: Vec<_> = Stage::STANDARD.iter().map(|stage| stage.name()).collect();
        assert_eq!(names(&everything()).unwrap(), standard);
        assert!(Stage::STANDARD.iter().all(|stage| Stage::from_name(stage.name()) == Some(*stage)));
        assert!(names(&Sampling { temperature: 1.0, ..Default::default() }).unwrap().is_empty());
        assert!(names(&Sampling::default()).unwrap().is_empty());
    }

    #[test]
    fn at_temperature_zero_penalties_stay() {
        let greedy = Sampling { temperature: 0.0, ..everything() };
        assert_eq!(names(&greedy).unwrap(), ["penalties", "dry"]);
        let wrong = Sampling { temperature: 0.0, min_p: Some(2.0), ..everything() };
        assert!(matches!(names(&wrong), Err(SamplingError::OutOfRange { parameter: "min_p", .. })));
    }

    #[test]
    fn the_order_is_the_users() {
        let order = |order: &[Stage]| Sampling {
            temperature: 0.5,
            top_k: Some(3),
            order: Some(order.to_vec()),
            ..Default::default()
        };
        let llama_cpp = order(&[Stage::TopK, Stage::MinP, Stage::Temperature]);
        assert_eq!(names(&llama_cpp).unwrap(), ["top_k", "temperature"]);
        let check = |stages: &[Stage], expected: &str| {
            assert_eq!(names(&order(stages)).unwrap_err().to_string(), expected);
        };
        check(&[Stage::TopK, Stage::TopK], "order: top_k comes twice");
        check(&[Stage::TopK], "order: temperature is asked for, but has no place");
        check(&[], "order: temperature is asked for, but has no place");
    }
}
