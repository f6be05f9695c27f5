//! The list of the kinds of vocabulary.
//!
//! Owns the choice of the file that builds a kind; an addition is one line here. It deliberately falls back to none.

use super::checked::CheckedVocabulary;
use super::{GgufVocabulary, bpe, spm};
use crate::TokenizerError;
use crate::tokenizer::Tokenizer;

type Build = fn(&CheckedVocabulary<'_>) -> Result<Tokenizer, TokenizerError>;

/// Every kind of vocabulary, by `tokenizer.ggml.model`.
const MODELS: &[(&str, Build)] = &[("gpt2", bpe::build), ("llama", spm::build)];

pub(crate) fn build(vocabulary: &GgufVocabulary) -> Result<Tokenizer, TokenizerError> {
    let (_, build) = MODELS.iter().find(|(name, _)| *name == vocabulary.model).ok_or_else(|| {
        TokenizerError::UnknownModel {
            found: vocabulary.model.clone(),
            known: MODELS.iter().map(|(name, _)| *name).collect(),
        }
    })?;
    build(&CheckedVocabulary::new(vocabulary)?)
}
