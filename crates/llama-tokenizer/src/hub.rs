//! tokenizer.json, the format of the Hugging Face hub.
//!
//! Owns the step from its bytes to a [`Tokenizer`]: the library parses it, we derive the bytes of every token from its decoder. It
//! deliberately does not read tokenizer_config.json, which another file of the crate does.

use std::collections::HashSet;

use serde_json::Value;

use crate::pieces::{LeadingSpace, Piece, PieceKind, PieceTable, Spelling};
use crate::pipeline::Pipeline;
use crate::tokenizer::{Frame, Tokenizer};
use crate::{SpecialIds, TokenizerError};

const KNOWN_DECODERS: &[&str] =
    &["ByteLevel", "Metaspace", "WordPiece", "Sequence with ByteLevel", "Sequence with Replace of ▁"];

pub(crate) fn build(json: &[u8]) -> Result<Tokenizer, TokenizerError> {
    let as_json = |source: serde_json::Error| TokenizerError::TokenizerJson { source: source.into() };
    let description: Value = serde_json::from_slice(json).map_err(as_json)?;
    let library =
        tokenizers::Tokenizer::from_bytes(json).map_err(|source| TokenizerError::TokenizerJson { source })?;
    let (spelling, leading_space) = spelling(&description["decoder"])?;
    let unk = unknown_id(&description["model"], &library);
    let special = special_ids(&library);
    let pieces = PieceTable::new(pieces(&library, spelling)?, leading_space);
    let fenced = special.into_iter().filter(|&id| Some(id) != unk).collect();
    Ok(Tokenizer {
        pipeline: Pipeline::from_library(library, fenced)?,
        pieces: pieces.into(),
        special_ids: SpecialIds { unk, ..SpecialIds::default() },
        frame: Frame::default(),
    })
}

/// The ids that the file marks as special.
fn special_ids(library: &tokenizers::Tokenizer) -> HashSet<u32> {
    let added = library.get_added_vocabulary().get_added_tokens_decoder();
    added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id).collect()
}

/// The unknown token, which BPE and WordPiece name by text and Unigram by id.
fn unknown_id(model: &Value, library: &tokenizers::Tokenizer) -> Option<u32> {
    match model["unk_token"].as_str() {
        Some(text) => library.token_to_id(text),
        None => u32::try_from(model["unk_id"].as_u64()?).ok(),
    }
}

/// All tokens by id. Ids without a token stay empty, within reason.
fn pieces(library: &tokenizers::Tokenizer, spelling: Spelling) -> Result<Vec<Option<Piece>>, TokenizerError> {
    let vocabulary = library.get_vocab(true);
    let num_tokens = vocabulary.len();
    let max_id = vocabulary.values().copied().max().ok_or(TokenizerError::EmptyVocabulary)?;
    let sparse = TokenizerError::SparseIds { num_tokens, max_id };
    let Some(last) = usize::try_from(max_id).ok().filter(|&last| last / 4 <= num_tokens + 1024) else {
        return Err(sparse);
    };
    let added = library.get_added_vocabulary().get_added_tokens_decoder();
    let mut pieces: Vec<Option<Piece>> = (0..=last).map(|_| None).collect();
    for (text, id) in vocabulary {
        let kind = if added.get(&id).is_some_and(|token| token.special) {
            PieceKind::Special
        } else {
            PieceKind::Text
        };
        // Added tokens are matched in the text itself, so their text is what they stand for; only SPM's ▁ still means a space.
        let bytes = match (added.get(&id), spelling) {
            (Some(token), _) if token.special => token.content.clone().into_bytes(),
            (Some(token), Spelling::ByteLevel | Spelling::WordPiece) => token.content.clone().into_bytes(),
            _ => spelling.bytes(&text),
        };
        // An id fits the table: it is at most `max_id`.
        pieces[id as usize] = Some(Piece { bytes, kind });
    }
    Ok(pieces)
}

/// What the decoder says about the spelling of tokens.
fn spelling(decoder: &Value) -> Result<(Spelling, LeadingSpace), TokenizerError> {
    let steps = match decoder["decoders"].as_array() {
        Some(steps) => steps.as_slice(),
        None => std::slice::from_ref(decoder),
    };
    let has = |kind: &str| steps.iter().any(|step| step["type"] == kind);
    let replaces_spaces =
        steps.iter().any(|step| step["type"] == "Replace" && step["pattern"]["String"] == "▁");
    let strips = steps.iter().any(|step| match step["type"].as_str() {
        Some("Strip") => step["content"] == " " && step["start"].as_u64() >= Some(1),
        Some("Metaspace") => step["prepend_scheme"] != "never",
        Some("WordPiece") => true,
        _ => false,
    });
    let leading_space = if strips { LeadingSpace::Strip } else { LeadingSpace::Keep };
    let spelling = if has("ByteLevel") {
        Spelling::ByteLevel
    } else if has("Metaspace") || replaces_spaces {
        Spelling::SentencePiece { byte_fallback: has("ByteFallback") }
    } else if has("WordPiece") {
        Spelling::WordPiece
    } else {
        return Err(TokenizerError::UnsupportedDecoder {
            found: decoder["type"].to_string(),
            known: KNOWN_DECODERS,
        });
    };
    Ok((spelling, leading_space))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(decoder: &str, expected: Option<(Spelling, LeadingSpace)>) {
        let decoder: Value = serde_json::from_str(decoder).expect("valid JSON");
        assert_eq!(spelling(&decoder).ok(), expected, "{decoder}");
    }

    #[test]
    fn decoders() {
        let sentence_piece = |byte_fallback| Spelling::SentencePiece { byte_fallback };
        check(r#"{"type":"ByteLevel"}"#, Some((Spelling::ByteLevel, LeadingSpace::Keep)));
        check(
            r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"}"#,
            Some((sentence_piece(false), LeadingSpace::Strip)),
        );
        check(
            r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"never"}"#,
            Some((sentence_piece(false), LeadingSpace::Keep)),
        );
        check(
            r#"{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},
                {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#,
            Some((sentence_piece(true), LeadingSpace::Strip)),
        );
        check(r#"{"type":"WordPiece","prefix":"\u0023#"}"#, Some((Spelling::WordPiece, LeadingSpace::Strip)));
        check("null", None);
        check(r#"{"type":"CTC"}"#, None);
    }
}
