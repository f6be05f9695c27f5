//! Where a checkpoint keeps its tokenizer. Building one is llama-tokenizer's work.

use std::path::Path;

use super::gguf::GgufMetadata;

/// What a tokenizer is built from.
#[derive(Clone, Copy, Debug)]
pub enum Vocabulary<'a> {
    /// `tokenizer.json` and `tokenizer_config.json` in this directory.
    HuggingFace {
        /// The checkpoint's directory.
        dir: &'a Path,
    },
    /// The keys `tokenizer.*` of a GGUF file.
    Gguf(&'a GgufMetadata),
}
