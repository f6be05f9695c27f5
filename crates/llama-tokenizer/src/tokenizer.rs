//! The tokenizer: text to ids and back.
//!
//! Owns [`Tokenizer`], whatever it was built from. Invariant: `decode`, the stream decoder and `token_bytes` read one table of bytes, so
//! they agree for every sequence of ids, valid or not. It deliberately does not truncate or pad, and holds no chat template.

use std::path::Path;
use std::sync::Arc;

use crate::pieces::PieceTable;
use crate::pipeline::Pipeline;
use crate::{
    AddSpecial, DecodeSpecial, GgufVocabulary, ParseSpecial, SpecialIds, SpecialTokens, StreamDecoder,
    TokenizerError, gguf, hub,
};

/// Turns text into the ids of a model's vocabulary, and ids into text.
///
/// Immutable; share it through an `Arc`.
#[derive(Debug)]
pub struct Tokenizer {
    pub(crate) pipeline: Pipeline,
    pub(crate) pieces: Arc<PieceTable>,
    pub(crate) special_ids: SpecialIds,
    pub(crate) frame: Frame,
}

/// Ids that [`AddSpecial::Yes`] puts around a text, beyond what the pipeline's own post-processor does.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    pub(crate) before: Option<u32>,
    pub(crate) after: Option<u32>,
}

impl Tokenizer {
    /// Reads a tokenizer.json. It does not say which tokens begin and end a sequence: see [`Tokenizer::with_special_tokens`].
    ///
    /// # Errors
    ///
    /// [`TokenizerError::Read`] when the file cannot be read, else as [`Tokenizer::from_json`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let json =
            std::fs::read(path).map_err(|source| TokenizerError::Read { path: path.to_owned(), source })?;
        Self::from_json(&json)
    }

    /// Builds the tokenizer that a tokenizer.json describes. Truncation and padding in it are ignored.
    ///
    /// # Errors
    ///
    /// When the bytes are no tokenizer.json, or when its decoder does not tell the bytes of a token.
    pub fn from_json(json: &[u8]) -> Result<Self, TokenizerError> {
        hub::build(json)
    }

    /// Builds the tokenizer that the metadata of a GGUF file describes.
    ///
    /// # Errors
    ///
    /// When the vocabulary contradicts itself, or is of a kind that is not implemented; each cause has its own variant.
    pub fn from_gguf(vocabulary: &GgufVocabulary) -> Result<Self, TokenizerError> {
        gguf::build(vocabulary)
    }

    /// Takes the roles of tokens from a tokenizer_config.json, which belongs to a tokenizer.json.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::UnknownSpecialToken`] when a named token is not in the vocabulary.
    pub fn with_special_tokens(mut self, tokens: &SpecialTokens) -> Result<Self, TokenizerError> {
        let resolve = |role, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => {
                let id = self.token_id(text);
                id.map(Some).ok_or_else(|| TokenizerError::UnknownSpecialToken { role, text: text.clone() })
            }
        };
        self.special_ids = SpecialIds {
            bos: resolve("bos", &tokens.bos)?,
            eos: resolve("eos", &tokens.eos)?,
            unk: resolve("unk", &tokens.unk)?,
        };
        Ok(self)
    }

    /// The ids of a text.
    ///
    /// A byte-level vocabulary without a symbol for some byte drops that byte, as the reference implementations do (SmolLM2 lacks six
    /// control characters).
    ///
    /// # Errors
    ///
    /// [`TokenizerError::Encode`] when the vocabulary has no tokens for the text and no unknown token either.
    pub fn encode(
        &self,
        text: &str,
        add: AddSpecial,
        parse: ParseSpecial,
    ) -> Result<Vec<u32>, TokenizerError> {
        let ids = self.pipeline.encode(text, add, parse)?;
        Ok(match (add, &self.frame) {
            (AddSpecial::No, _) | (AddSpecial::Yes, Frame { before: None, after: None }) => ids,
            (AddSpecial::Yes, Frame { before, after }) => {
                before.iter().copied().chain(ids).chain(*after).collect()
            }
        })
    }

    /// The first `max_len` ids of a text that was encoded with [`AddSpecial::Yes`]: the special tokens around it stay, and the end of the text
    /// goes.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn truncate(&self, ids: &[u32], max_len: usize) -> Result<Vec<u32>, TokenizerError> {
        if ids.len() <= max_len {
            return Ok(ids.to_vec());
        }
        let frame = self.encode("", AddSpecial::Yes, ParseSpecial::No)?;
        let num_before = frame.iter().zip(ids).take_while(|(special, id)| special == id).count();
        let after = &frame[num_before..];
        let kept = &ids[..max_len.saturating_sub(after.len()).max(num_before)];
        Ok(kept.iter().chain(after).copied().collect())
    }

    /// The text of a whole sequence; bytes that are not UTF-8 become U+FFFD.
    ///
    /// Added tokens appear exactly as their text. In SPM vocabularies one leading space is stripped, which encoding put there.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::UnknownToken`] for an id outside the vocabulary.
    pub fn decode(&self, ids: &[u32], special: DecodeSpecial) -> Result<String, TokenizerError> {
        self.pieces.decode(ids, special)
    }

    /// A decoder for a sequence that still grows.
    #[must_use]
    pub fn stream_decoder(&self, special: DecodeSpecial) -> StreamDecoder {
        StreamDecoder::new(Arc::clone(&self.pieces), special)
    }

    /// The raw bytes that a token stands for; for a special token, its text. `None` for an id that no token has.
    #[must_use]
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.pieces.bytes(id)
    }

    /// A token as the vocabulary spells it (`Ġthe`, `▁the`, `<0x0A>`). `None` for an id that no token has.
    #[must_use]
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.pipeline.token_text(id)
    }

    /// The id of a token as the vocabulary spells it.
    #[must_use]
    pub fn token_id(&self, text: &str) -> Option<u32> {
        self.pipeline.token_id(text)
    }

    /// One more than the largest id. A model may have more logits than this.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.pieces.vocab_size()
    }

    /// The tokens that begin and end a sequence.
    #[must_use]
    pub fn special_ids(&self) -> SpecialIds {
        self.special_ids
    }

    /// Whether a token frames text rather than being part of it.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.pieces.is_special(id)
    }
}
