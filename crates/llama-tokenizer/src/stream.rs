//! Incremental decoding: one token in, whole characters out.
//!
//! Owns [`StreamDecoder`]. Invariant: the texts of all pushes and of `finish`, joined, are what
//! [`Tokenizer::decode`](crate::Tokenizer::decode) gives for the whole sequence. A push costs the length of the token, never of the
//! sequence, and holds back at most three bytes. It deliberately does not look for stop strings.

use std::sync::Arc;

use crate::pieces::{LeadingSpace, PieceTable};
use crate::{DecodeSpecial, TokenizerError};

/// Turns a growing sequence of ids into text without ever splitting a character.
///
/// Owned and cheap: it shares the tokenizer's table and may move to another thread.
#[derive(Clone, Debug)]
pub struct StreamDecoder {
    pieces: Arc<PieceTable>,
    special: DecodeSpecial,
    leading_space: LeadingSpace,
    incomplete: Vec<u8>,
}

impl StreamDecoder {
    pub(crate) fn new(pieces: Arc<PieceTable>, special: DecodeSpecial) -> Self {
        let leading_space = pieces.leading_space();
        Self { pieces, special, leading_space, incomplete: Vec::new() }
    }

    /// Says that text precedes: a leading space of the first token is then part of the text.
    ///
    /// This is what an answer that goes on after a prompt wants. Without it the decoder behaves like
    /// [`Tokenizer::decode`](crate::Tokenizer::decode), which strips the space that SPM vocabularies put before a text.
    #[must_use]
    pub fn continuing(self) -> Self {
        Self { leading_space: LeadingSpace::Keep, ..self }
    }

    /// Adds one token and returns the characters that it completes, possibly none.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::UnknownToken`] for an id outside the vocabulary; the decoder is then unchanged.
    pub fn push(&mut self, id: u32) -> Result<String, TokenizerError> {
        let mut piece = self.pieces.visible(id, self.special)?;
        if !piece.is_empty() && self.leading_space == LeadingSpace::Strip {
            piece = piece.strip_prefix(b" ").unwrap_or(piece);
            self.leading_space = LeadingSpace::Keep;
        }
        self.incomplete.extend_from_slice(piece);
        Ok(take_characters(&mut self.incomplete))
    }

    /// Ends the sequence: an incomplete character becomes U+FFFD.
    #[must_use]
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.incomplete).into_owned()
    }
}

/// Moves all of `bytes` out as text except a last character that more bytes could complete.
fn take_characters(bytes: &mut Vec<u8>) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut taken = 0;
    loop {
        match std::str::from_utf8(&bytes[taken..]) {
            Ok(rest) => {
                text.push_str(rest);
                bytes.clear();
                return text;
            }
            Err(error) => {
                let (valid, _) = bytes[taken..].split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                taken += error.valid_up_to();
                let Some(invalid_len) = error.error_len() else {
                    bytes.drain(..taken);
                    return text;
                };
                text.push(char::REPLACEMENT_CHARACTER);
                taken += invalid_len;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pieces::{Piece, PieceKind};

    fn table(leading_space: LeadingSpace) -> Arc<PieceTable> {
        let bytes: [&[u8]; 7] = [b" a", b"\xf0\x9f", b"\x98", b"\x80b", b"\xff", b"", b" "];
        let pieces = bytes.map(|bytes| Some(Piece { bytes: bytes.to_vec(), kind: PieceKind::Text }));
        Arc::new(PieceTable::new(pieces, leading_space))
    }

    fn check(leading_space: LeadingSpace, ids: &[u32], pushes: &[&str], rest: &str) {
        let mut decoder = StreamDecoder::new(table(leading_space), DecodeSpecial::Keep);
        let texts: Vec<_> = ids.iter().map(|&id| decoder.push(id).expect("known ids")).collect();
        assert_eq!(texts, pushes, "{ids:?}");
        assert_eq!(decoder.finish(), rest, "{ids:?}");
    }

    #[test]
    fn only_whole_characters_leave() {
        check(LeadingSpace::Keep, &[0, 1, 2, 3], &[" a", "", "", "😀b"], "");
        check(LeadingSpace::Keep, &[1, 2], &["", ""], "\u{fffd}");
        check(LeadingSpace::Keep, &[1, 0], &["", "\u{fffd} a"], "");
        check(LeadingSpace::Keep, &[4, 3], &["\u{fffd}", "\u{fffd}b"], "");
    }

    #[test]
    fn the_leading_space_goes_once() {
        check(LeadingSpace::Strip, &[5, 0, 0], &["", "a", " a"], "");
        check(LeadingSpace::Strip, &[6, 6, 0], &["", " ", " a"], "");
    }

    #[test]
    fn continuing_keeps_the_space() {
        let mut decoder = StreamDecoder::new(table(LeadingSpace::Strip), DecodeSpecial::Keep).continuing();
        assert_eq!(decoder.push(0).expect("known id"), " a");
    }

    #[test]
    fn an_unknown_id_changes_nothing() {
        let mut decoder = StreamDecoder::new(table(LeadingSpace::Keep), DecodeSpecial::Keep);
        assert_eq!(decoder.push(1).expect("known id"), "");
        assert!(matches!(decoder.push(99), Err(TokenizerError::UnknownToken { id: 99, .. })));
        assert_eq!(decoder.push(2).expect("known id") + &decoder.push(3).expect("known id"), "😀b");
    }
}
