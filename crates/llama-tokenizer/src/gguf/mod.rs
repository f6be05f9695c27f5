//! Vocabularies as GGUF files carry them.
//!
//! Owns [`GgufVocabulary`] and the step from it to a [`Tokenizer`]: one file for each kind of vocabulary, one line here. It deliberately
//! does not read files; whoever does fills the plain data in.

mod bpe;
mod checked;
mod pre_tokenizer;
mod spm;
mod vocabulary;

pub use vocabulary::GgufVocabulary;

use crate::TokenizerError;
use crate::tokenizer::Tokenizer;
use checked::CheckedVocabulary;

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
