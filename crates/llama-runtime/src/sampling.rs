//! From a request to its sampler: texts become tokens, ids are checked, ranges refused.

use std::hash::{BuildHasher, RandomState};

use llama_engine::{EndOfText, EngineError, GenerateRequest, Sampling, TokenRules};
use llama_sampling::{Resolved, Sampler, SamplingError, token_processors};
use llama_tokenizer::{AddSpecial, ParseSpecial, Tokenizer};

use crate::engine::{self, Inner, invalid};

impl Inner {
    /// What chooses the tokens of a request. `breakers` are those of [`breakers`], for all its samples.
    pub(crate) fn sampler(
        &self,
        request: &GenerateRequest,
        breakers: Vec<u32>,
    ) -> Result<Sampler, EngineError> {
        // The standard library's per-process randomness is enough to tell requests apart.
        let seed = request.sampling.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        let sampler = Sampler::new(&request.sampling, &Resolved { seed, breakers }).map_err(refusal)?;
        let constraints = token_processors(&request.rules, self.end_tokens(request.end)).map_err(refusal)?;
        Ok(sampler.constrained_by(constraints))
    }

    /// Tokens that end the text by themselves.
    pub(crate) fn end_tokens(&self, end: EndOfText) -> &[u32] {
        match end {
            EndOfText::Stops => &self.loaded.end_tokens,
            EndOfText::Ignored => &[],
        }
    }

    /// Checks that token rules name tokens of the vocabulary, and that no end is forbidden for longer than there is room.
    pub(crate) fn check_rules(
        &self,
        rules: &TokenRules,
        max_tokens: Option<usize>,
    ) -> Result<(), EngineError> {
        self.check_ids("rules.bias", rules.bias.iter().map(|(token, _)| token))?;
        self.check_ids("rules.allowed", rules.allowed.iter().flatten())?;
        self.check_ids("rules.banned", &rules.banned)?;
        self.check_ids("rules.stop", &rules.stop)?;
        match max_tokens {
            Some(most) if rules.min_tokens > most => {
                let reason = format!("{}, expected at most the {most} of max_tokens", rules.min_tokens);
                Err(invalid("rules.min_tokens", reason))
            }
            _ => Ok(()),
        }
    }
}

/// The tokens across which no repeated phrase goes: for each text those that contain it, or the last of its encoding.
pub(crate) fn breakers(tokenizer: &Tokenizer, sampling: &Sampling) -> Result<Vec<u32>, EngineError> {
    let mut breakers = Vec::new();
    for text in sampling.penalties.dry.iter().flat_map(|dry| &dry.breakers) {
        if text.is_empty() {
            return Err(invalid("penalties.dry.breakers", "an empty text would break every phrase"));
        }
        let contains = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        let num_before = breakers.len();
        let ids = 0..tokenizer.vocab_size() as u32;
        breakers.extend(ids.filter(|&id| tokenizer.token_bytes(id).is_some_and(contains)));
        if breakers.len() == num_before {
            let encoded =
                tokenizer.encode(text, AddSpecial::No, ParseSpecial::No).map_err(engine::tokenizer)?;
            breakers.extend(encoded.last());
        }
    }
    Ok(breakers)
}

/// Sampling's errors as a caller sees them who has asked for something impossible.
fn refusal(error: SamplingError) -> EngineError {
    match error {
        SamplingError::OutOfRange { parameter, found, range } => {
            invalid(parameter, format!("{found}, expected {range}"))
        }
        SamplingError::Order { stage, problem } => invalid("order", format!("{stage} {problem}")),
        other => failure(other),
    }
}

/// Sampling's errors as a caller sees them whose answer breaks off.
pub(crate) fn failure(error: SamplingError) -> EngineError {
    match error {
        SamplingError::NoCandidate => EngineError::NoCandidate,
        other => EngineError::Model(Box::new(other)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use llama_engine::{Dry, Penalties};

    use super::*;

    #[test]
    fn breakers_are_all_tokens_with_the_text_or_the_last_of_its_encoding() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard/tokenizer.json");
        let tokenizer = Tokenizer::from_file(path).unwrap();
        let found = |text: &str| {
            let dry = Dry { breakers: vec![text.to_owned()], ..Dry::default() };
            let penalties = Penalties { dry: Some(dry), ..Penalties::default() };
            breakers(&tokenizer, &Sampling { penalties, ..Sampling::default() })
        };
        let newlines = found("\n").unwrap();
        let text = |id: &u32| String::from_utf8_lossy(tokenizer.token_bytes(*id).unwrap()).into_owned();
        assert!(newlines.iter().all(|id| text(id).contains('\n')), "{newlines:?}");
        let all: Vec<u32> = (0..1024).filter(|id| text(id).contains('\n')).collect();
        assert!(all.len() > 1 && newlines == all, "{newlines:?} of {all:?}");
        let long = "zebra zebra";
        let encoded = tokenizer.encode(long, AddSpecial::No, ParseSpecial::No).unwrap();
        assert_eq!(found(long).unwrap(), encoded[encoded.len() - 1..]);
        assert!(matches!(found(""), Err(EngineError::InvalidRequest { .. })));
        assert!(breakers(&tokenizer, &Sampling::default()).unwrap().is_empty());
    }
}
