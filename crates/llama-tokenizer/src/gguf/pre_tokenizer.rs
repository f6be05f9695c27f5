//! How byte-level BPE splits a text into words, by the name in the file.
//!
//! Owns the list of pre-tokenizers: an addition is one entry. The expressions are those of the models' own tokenizer.json. It deliberately
//! has no fallback, because a wrong split shows only as slightly worse answers.

use serde_json::Value;
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
    /// `tokenizer.ggml.pre`, with its aliases; the first is the one that llama.cpp's converter writes.
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
        names: &["gpt-2", "gpt2", "default"],
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

    /// The pre-tokenizer that a tokenizer.json describes, if the list has it.
    pub(super) fn of_json(described: &Value, takes_whole_words: bool) -> Option<&'static Self> {
        PRE_TOKENIZERS.iter().find(|pre| {
            let built = pre.build().ok().and_then(|built| serde_json::to_value(built).ok());
            let is_same = built.is_some_and(|built| without_offsets(&built) == without_offsets(described));
            is_same && takes_whole_words == (pre.whole_words == WholeWords::TakeAsToken)
        })
    }

    /// Its name in a file.
    pub(super) fn name(&self) -> &'static str {
        self.names[0]
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

/// Without the fields that say where a token came from and not which it is, in one order.
fn without_offsets(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut kept: Vec<_> = fields.iter().filter(|(name, _)| *name != "trim_offsets").collect();
            kept.sort_by_key(|(name, _)| *name);
            kept.into_iter().map(|(name, value)| (name.clone(), without_offsets(value))).collect()
        }
        Value::Array(values) => values.iter().map(without_offsets).collect(),
        other => other.clone(),
    }
}
