//! From a tokenizer.json to the plain data of a GGUF vocabulary, where GGUF has words for it.
//!
//! Owns the way back: byte-level BPE whose splitting into words has a name in the list of pre-tokenizers. Invariant: the tokenizer that is
//! built from the result encodes as the one of the tokenizer.json. What cannot be said is an error, never left out.

use serde_json::Value;

use super::GgufVocabulary;
use super::pre_tokenizer::PreTokenizer;
use crate::{AddSpecial, ParseSpecial, Tokenizer, TokenizerError};

/// `tokenizer.ggml.token_type`.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;

impl GgufVocabulary {
    /// Reads a tokenizer.json. `bos`, `eos` and `unk` stay absent: they stand in other files.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::NoGgufForm`] for what GGUF has no words for; otherwise as [`Tokenizer::from_json`].
    pub fn from_tokenizer_json(json: &[u8]) -> Result<Self, TokenizerError> {
        let tokenizer = Tokenizer::from_json(json)?;
        let description: Value = serde_json::from_slice(json)
            .map_err(|source| TokenizerError::TokenizerJson { source: source.into() })?;
        let model = &description["model"];
        if model["type"] != "BPE" || model["byte_fallback"] == true {
            return Err(no_form("model", &model["type"]));
        }
        let pre = PreTokenizer::of_json(&description["pre_tokenizer"], model["ignore_merges"] == true)
            .ok_or_else(|| no_form("pre_tokenizer", &description["pre_tokenizer"]))?;
        let normalizer = &description["normalizer"];
        // llama.cpp does not normalise, and its converter passes over this one.
        if !normalizer.is_null() && normalizer["type"] != "NFC" {
            return Err(no_form("normalizer", normalizer));
        }
        let (tokens, token_types) = tokens(&description, tokenizer.vocab_size())?;
        let first = tokenizer.encode("a", AddSpecial::Yes, ParseSpecial::No)?.into_iter().next();
        Ok(Self {
            model: "gpt2".to_owned(),
            pre: Some(pre.name().to_owned()),
            tokens,
            token_types,
            merges: merges(model)?,
            add_bos: Some(first.is_some_and(|id| tokenizer.is_special(id))),
            add_eos: Some(false),
            ..Self::default()
        })
    }
}

/// Texts and types by id. Ids without a token get a name that no text spells.
fn tokens(description: &Value, num_tokens: usize) -> Result<(Vec<String>, Vec<i32>), TokenizerError> {
    let mut tokens: Vec<String> = (0..num_tokens).map(|id| format!("[UNUSED{id}]")).collect();
    let mut types = vec![UNUSED; num_tokens];
    let mut set = |id: &Value, text: &str, token_type| {
        let id = id.as_u64().and_then(|id| usize::try_from(id).ok()).filter(|&id| id < num_tokens);
        let id = id.ok_or_else(|| no_form("id of a token", &Value::from(text)))?;
        text.clone_into(&mut tokens[id]);
        types[id] = token_type;
        Ok::<(), TokenizerError>(())
    };
    for (text, id) in description["model"]["vocab"].as_object().into_iter().flatten() {
        set(id, text, NORMAL)?;
    }
    for token in description["added_tokens"].as_array().into_iter().flatten() {
        let token_type = if token["special"] == true { CONTROL } else { USER_DEFINED };
        set(&token["id"], token["content"].as_str().unwrap_or_default(), token_type)?;
    }
    Ok((tokens, types))
}

/// Each as two pieces with a space between, from either of the two ways to write them.
fn merges(model: &Value) -> Result<Vec<String>, TokenizerError> {
    let merges = model["merges"].as_array().into_iter().flatten();
    let pair = |merge: &Value| match (merge.as_str(), merge[0].as_str(), merge[1].as_str()) {
        (Some(text), _, _) => Ok(text.to_owned()),
        (None, Some(left), Some(right)) if !left.contains(' ') && !right.contains(' ') => {
            Ok(format!("{left} {right}"))
        }
        _ => Err(no_form("merge", merge)),
    };
    merges.map(pair).collect()
}

fn no_form(part: &'static str, found: &Value) -> TokenizerError {
    const MAX_CHARS: usize = 200;
    TokenizerError::NoGgufForm { part, found: found.to_string().chars().take(MAX_CHARS).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BARD: &[u8] = include_bytes!("../../../../assets/bard/tokenizer.json");

    fn changed(change: impl Fn(&mut Value)) -> Result<GgufVocabulary, TokenizerError> {
        let mut description: Value = serde_json::from_slice(BARD).unwrap();
        change(&mut description);
        GgufVocabulary::from_tokenizer_json(&serde_json::to_vec(&description).unwrap())
    }

    #[test]
    fn the_way_there_and_back_gives_the_same_tokens() {
        let there = Tokenizer::from_json(BARD).unwrap();
        let vocabulary = GgufVocabulary::from_tokenizer_json(BARD).unwrap();
        assert_eq!((vocabulary.pre.as_deref(), vocabulary.add_bos), (Some("gpt-2"), Some(true)));
        assert_eq!(&vocabulary.token_types[..3], [CONTROL, CONTROL, NORMAL]);
        let back =
            Tokenizer::from_gguf(&GgufVocabulary { bos: Some(0), eos: Some(1), ..vocabulary }).unwrap();
        for text in ["HAMLET.\nTo be, or not to be: 42!", "  two  spaces\t\n\n", "Ünïcödé ▁ 漢字 🙂", ""]
        {
            let encode =
                |tokenizer: &Tokenizer| tokenizer.encode(text, AddSpecial::Yes, ParseSpecial::No).unwrap();
            assert_eq!(encode(&back), encode(&there), "{text:?}");
        }
    }

    #[test]
    fn pre_tokenizers_are_recognised() {
        let pre = |value: Value| {
            changed(|json| json["pre_tokenizer"] = value.clone()).map(|found| found.pre.unwrap())
        };
        let byte_level =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true});
        let digits = json!({"type": "Digits", "individual_digits": true});
        let sequence = json!({"type": "Sequence", "pretokenizers": [digits, byte_level.clone()]});
        assert_eq!(pre(byte_level).unwrap(), "gpt-2");
        assert_eq!(pre(sequence).unwrap(), "smollm");
    }

    #[test]
    fn what_gguf_has_no_words_for_is_refused() {
        let refused = |change: &dyn Fn(&mut Value)| changed(change).unwrap_err().to_string();
        let error = refused(&|json| json["pre_tokenizer"]["add_prefix_space"] = json!(true));
        assert!(
            error.starts_with("GGUF has no words for the pre_tokenizer {\"type\":\"ByteLevel\""),
            "{error}"
        );
        let error = refused(&|json| json["normalizer"] = json!({"type": "Lowercase"}));
        assert_eq!(error, "GGUF has no words for the normalizer {\"type\":\"Lowercase\"}");
    }
}
