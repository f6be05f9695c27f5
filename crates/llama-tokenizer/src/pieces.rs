//! The raw bytes of every token.
//!
//! Owns [`PieceTable`]: for each id its bytes, and whether it is special. Decoding, incremental decoding and grammars all read this one
//! table, so they cannot disagree. Invariant: decoding concatenates the bytes of the ids and then reads them as UTF-8, with U+FFFD for
//! what is not. It deliberately does not tidy up spaces around punctuation.

use crate::{DecodeSpecial, TokenizerError, byte_level};

/// How the text of an ordinary token spells its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// One character of the byte-level alphabet for each byte.
    ByteLevel,
    /// `▁` for a space; `<0x0A>` for a byte where `byte_fallback` says so.
    SentencePiece { byte_fallback: bool },
    /// `##` joins a token to the one before it; all others begin with a space.
    WordPiece,
}

impl Spelling {
    /// The bytes that the text of an ordinary token stands for.
    pub(crate) fn bytes(self, text: &str) -> Vec<u8> {
        match self {
            Self::ByteLevel => byte_level::bytes_of(text).unwrap_or_else(|| text.as_bytes().to_vec()),
            Self::SentencePiece { byte_fallback } => match parse_byte_token(text) {
                Some(byte) if byte_fallback => vec![byte],
                _ => text.replace('▁', " ").into_bytes(),
            },
            Self::WordPiece => match text.strip_prefix("##") {
                Some(rest) => rest.as_bytes().to_vec(),
                None => format!(" {text}").into_bytes(),
            },
        }
    }
}

/// The byte of a token spelled `<0x0A>`, in either case.
pub(crate) fn parse_byte_token(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_hex = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_hex { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// Whether the first text of a sequence loses one leading space, because encoding put it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeadingSpace {
    Strip,
    Keep,
}

/// One token as it enters the table.
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: PieceKind,
}

/// Whether a token is part of the text or of its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    Text,
    Special,
}

/// The bytes of all tokens, by id, in one allocation.
#[derive(Debug)]
pub(crate) struct PieceTable {
    bytes: Vec<u8>,
    entries: Vec<Option<Entry>>,
    leading_space: LeadingSpace,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    end: usize,
    kind: PieceKind,
}

impl PieceTable {
    /// Lays the pieces out; `None` marks an id that no token has.
    pub(crate) fn new(pieces: impl IntoIterator<Item = Option<Piece>>, leading_space: LeadingSpace) -> Self {
        let mut table = Self { bytes: Vec::new(), entries: Vec::new(), leading_space };
        for piece in pieces {
            let start = table.bytes.len();
            table.entries.push(piece.map(|piece| {
                table.bytes.extend_from_slice(&piece.bytes);
                Entry { start, end: table.bytes.len(), kind: piece.kind }
            }));
        }
        table
    }

    pub(crate) fn vocab_size(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn leading_space(&self) -> LeadingSpace {
        self.leading_space
    }

    pub(crate) fn bytes(&self, id: u32) -> Option<&[u8]> {
        self.entry(id).map(|entry| &self.bytes[entry.start..entry.end])
    }

    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.entry(id).is_some_and(|entry| entry.kind == PieceKind::Special)
    }

    /// The bytes that a token adds to a text: nothing for a skipped special token.
    pub(crate) fn visible(&self, id: u32, special: DecodeSpecial) -> Result<&[u8], TokenizerError> {
        let entry =
            self.entry(id).ok_or(TokenizerError::UnknownToken { id, vocab_size: self.vocab_size() })?;
        match (entry.kind, special) {
            (PieceKind::Special, DecodeSpecial::Skip) => Ok(&[]),
            _ => Ok(&self.bytes[entry.start..entry.end]),
        }
    }

    /// The text of a whole sequence.
    pub(crate) fn decode(&self, ids: &[u32], special: DecodeSpecial) -> Result<String, TokenizerError> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            bytes.extend_from_slice(self.visible(id, special)?);
        }
        let text = match self.leading_space {
            LeadingSpace::Strip => bytes.strip_prefix(b" ").unwrap_or(&bytes),
            LeadingSpace::Keep => &bytes,
        };
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn entry(&self, id: u32) -> Option<Entry> {
        self.entries.get(usize::try_from(id).ok()?).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spelling: Spelling, text: &str, expected: &[u8]) {
        assert_eq!(spelling.bytes(text), expected, "{text:?}");
    }

    #[test]
    fn spellings() {
        let fallback = Spelling::SentencePiece { byte_fallback: true };
        check(Spelling::ByteLevel, "Ġthe", b" the");
        check(Spelling::ByteLevel, "東", "東".as_bytes());
        check(fallback, "▁the", b" the");
        check(fallback, "<0x0A>", b"\n");
        check(fallback, "<0x+A>", b"<0x+A>");
        check(Spelling::SentencePiece { byte_fallback: false }, "<0x0A>", b"<0x0A>");
        check(Spelling::WordPiece, "##ing", b"ing");
        check(Spelling::WordPiece, "ring", b" ring");
    }

    #[test]
    fn one_leading_space_goes_and_holes_are_errors() {
        let piece = |bytes: &[u8]| Some(Piece { bytes: bytes.to_vec(), kind: PieceKind::Text });
        let table = PieceTable::new([piece(b"  a"), None], LeadingSpace::Strip);
        assert_eq!(table.decode(&[0, 0], DecodeSpecial::Keep).expect("known ids"), " a  a");
        assert!(matches!(
            table.decode(&[1], DecodeSpecial::Keep),
            Err(TokenizerError::UnknownToken { id: 1, vocab_size: 2 })
        ));
        assert!(table.decode(&[u32::MAX], DecodeSpecial::Keep).is_err());
    }
}
