//! A GGUF vocabulary whose parts are known to agree.
//!
//! Owns [`CheckedVocabulary`]: lists of equal length, distinct texts, known types, ids in range. What only one kind of vocabulary needs
//! (scores, merges) is checked where that kind is built. It deliberately repairs nothing.

use std::collections::HashMap;

use tokenizers::AddedToken;

use super::GgufVocabulary;
use crate::pieces::{Piece, PieceKind, Spelling};
use crate::tokenizer::Frame;
use crate::{SpecialIds, TokenizerError};

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenType {
    /// Part of text; unused tokens are too, merges may pass through them.
    Normal,
    /// Frames text: control and unknown tokens.
    Special,
    /// Found in text before anything else, whatever the caller says about special tokens.
    UserDefined,
    /// One raw byte.
    Byte,
}

/// See the module.
pub(super) struct CheckedVocabulary<'a> {
    pub(super) source: &'a GgufVocabulary,
    pub(super) ids: HashMap<&'a str, u32>,
    pub(super) types: Vec<TokenType>,
    pub(super) special_ids: SpecialIds,
}

/// Whether a token is added around a text when the file does not say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AddByDefault {
    Yes,
    No,
}

impl<'a> CheckedVocabulary<'a> {
    pub(super) fn new(source: &'a GgufVocabulary) -> Result<Self, TokenizerError> {
        let num_tokens = source.tokens.len();
        if num_tokens == 0 {
            return Err(TokenizerError::EmptyVocabulary);
        }
        let in_range = |role, id: Option<u32>| match id {
            Some(id) if usize::try_from(id).map_or(true, |id| id >= num_tokens) => {
                Err(TokenizerError::SpecialIdOutOfRange { role, id, num_tokens })
            }
            id => Ok(id),
        };
        let special_ids = SpecialIds {
            bos: in_range("bos", source.bos)?,
            eos: in_range("eos", source.eos)?,
            unk: in_range("unk", source.unk)?,
        };
        Ok(Self { source, ids: distinct(&source.tokens)?, types: types(source)?, special_ids })
    }

    /// Fails unless a list has one entry for each token.
    pub(super) fn check_len(&self, field: &'static str, found: usize) -> Result<(), TokenizerError> {
        check_len(field, self.source.tokens.len(), found)
    }

    /// Texts, ids and types, in order of ids.
    pub(super) fn tokens(&self) -> impl Iterator<Item = (u32, &'a str, TokenType)> {
        (0..).zip(&self.source.tokens).zip(&self.types).map(|((id, text), &kind)| (id, text.as_str(), kind))
    }

    /// The tokens that are found in a text before it is split into words.
    pub(super) fn added(&self) -> Vec<AddedToken> {
        let added = self.tokens().filter(|(_, text, kind)| {
            !text.is_empty() && matches!(kind, TokenType::Special | TokenType::UserDefined)
        });
        added
            .map(|(_, text, kind)| AddedToken::from(text, kind == TokenType::Special).normalized(false))
            .collect()
    }

    /// The bytes of every token.
    pub(super) fn pieces(&self, spelling: Spelling) -> impl Iterator<Item = Option<Piece>> {
        self.tokens().map(move |(_, text, kind)| {
            let bytes = match kind {
                TokenType::Normal | TokenType::Byte => spelling.bytes(text),
                TokenType::Special | TokenType::UserDefined => text.as_bytes().to_vec(),
            };
            let kind = if kind == TokenType::Special { PieceKind::Special } else { PieceKind::Text };
            Some(Piece { bytes, kind })
        })
    }

    /// What goes around a text.
    pub(super) fn frame(&self, bos: AddByDefault) -> Result<Frame, TokenizerError> {
        let SpecialIds { bos: bos_id, eos: eos_id, .. } = self.special_ids;
        Ok(Frame {
            before: framing("bos", self.source.add_bos, bos, bos_id)?,
            after: framing("eos", self.source.add_eos, AddByDefault::No, eos_id)?,
        })
    }
}

fn framing(
    role: &'static str,
    wish: Option<bool>,
    default: AddByDefault,
    id: Option<u32>,
) -> Result<Option<u32>, TokenizerError> {
    match (wish, default) {
        (Some(true), _) => id.map(Some).ok_or(TokenizerError::MissingSpecialToken { role }),
        (None, AddByDefault::Yes) => Ok(id),
        (Some(false), _) | (None, AddByDefault::No) => Ok(None),
    }
}

fn distinct(tokens: &[String]) -> Result<HashMap<&str, u32>, TokenizerError> {
    let mut ids = HashMap::with_capacity(tokens.len());
    for (second, text) in (0..).zip(tokens) {
        if let Some(first) = ids.insert(text.as_str(), second) {
            return Err(TokenizerError::DuplicateToken { text: text.clone(), first, second });
        }
    }
    Ok(ids)
}

fn types(source: &GgufVocabulary) -> Result<Vec<TokenType>, TokenizerError> {
    if source.token_types.is_empty() {
        return Ok(vec![TokenType::Normal; source.tokens.len()]);
    }
    check_len("token_type", source.tokens.len(), source.token_types.len())?;
    let parse = |(id, &found): (u32, &i32)| match found {
        0 | 1 | 5 => Ok(TokenType::Normal),
        2 | 3 => Ok(TokenType::Special),
        4 => Ok(TokenType::UserDefined),
        6 => Ok(TokenType::Byte),
        _ => Err(TokenizerError::TokenType { id, found }),
    };
    (0..).zip(&source.token_types).map(parse).collect()
}

fn check_len(field: &'static str, expected: usize, found: usize) -> Result<(), TokenizerError> {
    if found == expected { Ok(()) } else { Err(TokenizerError::LengthMismatch { field, expected, found }) }
}
