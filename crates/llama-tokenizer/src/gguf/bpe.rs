//! Byte-level BPE from a GGUF file.
//!
//! Owns the checks of merges and the assembly of the library's BPE. It deliberately adds no normaliser: GGUF files name none, and
//! llama.cpp applies none.

use tokenizers::models::bpe::{BPE, Vocab};

use super::checked::{CheckedVocabulary, TokenType};
use super::pre_tokenizer::{PreTokenizer, WholeWords};
use crate::TokenizerError;
use crate::pieces::{LeadingSpace, PieceTable, Spelling};
use crate::pipeline::Pipeline;
use crate::tokenizer::Tokenizer;

pub(super) fn build(vocabulary: &CheckedVocabulary<'_>) -> Result<Tokenizer, TokenizerError> {
    let pre = PreTokenizer::named(vocabulary.source.pre.as_deref())?;
    let merges = merges(vocabulary)?;
    let library = library(vocabulary, pre, merges).map_err(|source| TokenizerError::Assemble { source })?;
    let unk = vocabulary.special_ids.unk;
    let special = vocabulary.tokens().filter(|&(id, _, kind)| kind == TokenType::Special && Some(id) != unk);
    let fenced = special.map(|(id, _, _)| id).collect();
    Ok(Tokenizer {
        pipeline: Pipeline::from_library(library, fenced)?,
        pieces: PieceTable::new(vocabulary.pieces(Spelling::ByteLevel), LeadingSpace::Keep).into(),
        special_ids: vocabulary.special_ids,
        frame: vocabulary.frame(pre.bos)?,
    })
}

fn library(
    vocabulary: &CheckedVocabulary<'_>,
    pre: &PreTokenizer,
    merges: Vec<(String, String)>,
) -> tokenizers::Result<tokenizers::Tokenizer> {
    let ids = vocabulary.ids.iter().map(|(&text, &id)| (text.to_owned(), id));
    let bpe = BPE::builder()
        .vocab_and_merges(ids.collect::<Vocab>(), merges)
        .ignore_merges(pre.whole_words == WholeWords::TakeAsToken)
        .build()?;
    let mut library = tokenizers::Tokenizer::new(bpe);
    library.with_pre_tokenizer(Some(pre.build()?));
    library.add_tokens(vocabulary.added())?;
    Ok(library)
}

/// The merges as pairs whose parts and results are all tokens.
fn merges(vocabulary: &CheckedVocabulary<'_>) -> Result<Vec<(String, String)>, TokenizerError> {
    let parse = |(index, merge): (usize, &String)| {
        let not_a_pair = || TokenizerError::MergeNotAPair { index, text: merge.clone() };
        let (left, right) = merge.split_once(' ').ok_or_else(not_a_pair)?;
        if left.is_empty() || right.is_empty() || right.contains(' ') {
            return Err(not_a_pair());
        }
        for piece in [left.to_owned(), right.to_owned(), [left, right].concat()] {
            if !vocabulary.ids.contains_key(piece.as_str()) {
                return Err(TokenizerError::MergeUnknownToken { index, piece });
            }
        }
        Ok((left.to_owned(), right.to_owned()))
    };
    vocabulary.source.merges.iter().enumerate().map(parse).collect()
}
