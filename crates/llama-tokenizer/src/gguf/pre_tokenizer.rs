//! How byte-level BPE splits a text into words, by the name in the file.
//!
//! Owns the list of pre-tokenizers: an addition is one entry. The expressions are those of the models' own tokenizer.json. It deliberately
//! has no fallback, because a wrong split shows only as slightly worse answers.

use tokenizers::PreTokenizerWrapper;
use tokenizers::SplitDelimiterBehavior::Isolated;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use super::checked::AddByDefault;
use crate::TokenizerError;

/// One way to split text, and what else the name implies.
pub(super) struct PreTokenizer {
    /// `tokenizer.ggml.pre`, with its aliases.
    names: &'static [&'static str],
    words: Words,
    /// Whether a BOS is added when the file does not say.
    pub(super) bos: AddByDefault,
    /// Whether a word that is a token skips the merges.
    pub(super) whole_words: WholeWords,
}

enum Words {
    /// GPT-2's own expression.
    Gpt2,
    /// The same after each digit has been split off.
    Gpt2SingleDigits,
    /// Another expression.
    Pattern(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WholeWords {
    Merge,
    TakeAsToken,
}

/// Every known pre-tokenizer.
const PRE_TOKENIZERS: &[PreTokenizer] = &[
    PreTokenizer {
        names: &["gpt2", "gpt-2", "default"],
        words: Words::Gpt2,
        bos: AddByDefault::No,
        whole_words: WholeWords::Merge,
    },
    PreTokenizer {
        names: &["smollm"],
        words: Words::Gpt2SingleDigits,
        bos: AddByDefault::No,
        whole_words: WholeWords::Merge,
    },
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3"],
        words: Words::Pattern(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        bos: AddByDefault::Yes,
        whole_words: WholeWords::TakeAsToken,
    },
    PreTokenizer {
        names: &["qwen2"],
        words: Words::Pattern(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        bos: AddByDefault::No,
        whole_words: WholeWords::Merge,
    },
];

impl PreTokenizer {
    /// The pre-tokenizer of that name; `None` is what files without the key mean.
    pub(super) fn named(name: Option<&str>) -> Result<&'static Self, TokenizerError> {
        let name = name.unwrap_or("default");
        PRE_TOKENIZERS.iter().find(|pre| pre.names.contains(&name)).ok_or_else(|| {
            TokenizerError::UnknownPreTokenizer {
                found: name.to_owned(),
                known: PRE_TOKENIZERS.iter().flat_map(|pre| pre.names).copied().collect(),
            }
        })
    }

    /// The splitter itself; its last stage spells bytes in the byte-level alphabet.
    pub(super) fn build(&self) -> tokenizers::Result<PreTokenizerWrapper> {
        let byte_level = |use_regex| ByteLevel::new(false, true, use_regex).into();
        Ok(match self.words {
            Words::Gpt2 => byte_level(true),
            Words::Gpt2SingleDigits => Sequence::new(vec![Digits::new(true).into(), byte_level(true)]).into(),
            Words::Pattern(pattern) => {
                let split = Split::new(SplitPattern::Regex(pattern.to_owned()), Isolated, false)?;
                Sequence::new(vec![split.into(), byte_level(false)]).into()
            }
        })
    }
}
