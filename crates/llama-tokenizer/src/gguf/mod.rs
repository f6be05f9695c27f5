//! Vocabularies as GGUF files carry them.
//!
//! From the plain data of [`GgufVocabulary`], through the checks that all kinds share, to a tokenizer. The module deliberately does not
//! read files; whoever does fills the plain data in.

mod vocabulary;

mod build;
mod checked;

mod bpe;
mod export;
mod pre_tokenizer;
mod spm;

pub(crate) use build::build;
pub use vocabulary::GgufVocabulary;
