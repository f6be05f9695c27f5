//! SentencePiece BPE from a GGUF file.
//!
//! Owns the checks of scores and the byte fallback. It deliberately ignores merges, should a file have them: scores decide.

use std::collections::HashMap;

use super::checked::{AddByDefault, CheckedVocabulary, TokenType};
use crate::TokenizerError;
use crate::pieces::{LeadingSpace, PieceTable, Spelling, parse_byte_token};
use crate::pipeline::Pipeline;
use crate::spm::{ScoredPiece, SpmModel};
use crate::tokenizer::Tokenizer;

pub(super) fn build(vocabulary: &CheckedVocabulary<'_>) -> Result<Tokenizer, TokenizerError> {
    let leading_space = match vocabulary.source.add_space_prefix {
        Some(false) => LeadingSpace::Keep,
        Some(true) | None => LeadingSpace::Strip,
    };
    let spelling = Spelling::SentencePiece { byte_fallback: true };
    let model = SpmModel {
        pieces: scored_pieces(vocabulary)?,
        texts: vocabulary.source.tokens.clone(),
        ids: vocabulary.ids.iter().map(|(&text, &id)| (text.to_owned(), id)).collect(),
        byte_ids: byte_ids(vocabulary)?,
        leading_space,
    };
    Ok(Tokenizer {
        pipeline: Pipeline::from_spm(model, &vocabulary.added())?,
        pieces: PieceTable::new(vocabulary.pieces(spelling), leading_space).into(),
        special_ids: vocabulary.special_ids,
        frame: vocabulary.frame(AddByDefault::Yes)?,
    })
}

/// Everything that text may merge into. Byte tokens are no text: `<0x41>` in a text is six characters.
fn scored_pieces(vocabulary: &CheckedVocabulary<'_>) -> Result<HashMap<String, ScoredPiece>, TokenizerError> {
    vocabulary.check_len("scores", vocabulary.source.scores.len())?;
    let mut pieces = HashMap::with_capacity(vocabulary.ids.len());
    for ((id, text, kind), &score) in vocabulary.tokens().zip(&vocabulary.source.scores) {
        if score.is_nan() {
            return Err(TokenizerError::ScoreNotANumber { id });
        }
        if matches!(kind, TokenType::Normal | TokenType::UserDefined) {
            // Adding zero clears the sign of -0.0, which would otherwise sort below 0.0.
            pieces.insert(text.to_owned(), ScoredPiece { id, score: score + 0.0 });
        }
    }
    Ok(pieces)
}

/// What each byte becomes when no token covers it: its byte token, or else the unknown token.
fn byte_ids(vocabulary: &CheckedVocabulary<'_>) -> Result<Box<[u32; 256]>, TokenizerError> {
    let mut found = [vocabulary.special_ids.unk; 256];
    for (id, text, kind) in vocabulary.tokens() {
        if let (TokenType::Byte, Some(byte)) = (kind, parse_byte_token(text)) {
            found[usize::from(byte)] = Some(id);
        }
    }
    let mut ids = Box::new([0; 256]);
    for (byte, (id, found)) in ids.iter_mut().zip(found).enumerate() {
        *id = found.ok_or_else(|| TokenizerError::NoFallback { missing: format!("<0x{byte:02X}>") })?;
    }
    Ok(ids)
}
