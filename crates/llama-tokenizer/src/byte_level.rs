//! The byte-level alphabet of GPT-2: one printable character for each of the 256 bytes.
//!
//! Owns the mapping between the characters of byte-level vocabularies and raw bytes. Printable Latin-1 bytes stand for themselves, the
//! others for the code points from U+0100 on, in order. It deliberately knows nothing about tokens.

/// The byte that a character of the alphabet stands for, or `None` outside of the alphabet.
pub(crate) fn byte_of(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(|&byte| stands_for_itself(byte)),
        code @ 0x100..=0x143 => {
            (0..=u8::MAX).filter(|&byte| !stands_for_itself(byte)).nth((code - 0x100) as usize)
        }
        _ => None,
    }
}

/// The bytes of a token's text, or `None` when a character lies outside of the alphabet.
pub(crate) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(byte_of).collect()
}

fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn check(text: &str, expected: Option<&[u8]>) {
        assert_eq!(bytes_of(text).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn known_characters() {
        check("Ġthe", Some(b" the"));
        check("ĊĊ", Some(b"\n\n"));
        check("ÃĦ", Some("Ä".as_bytes()));
        check("", Some(b""));
        check(" ", None);
        check("東", None);
        check("ń", None); // U+0144, one past the alphabet
    }

    #[test]
    fn alphabet_is_the_tokenizer_librarys_and_covers_every_byte() {
        let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        let bytes: BTreeSet<u8> = alphabet.iter().filter_map(|&character| byte_of(character)).collect();
        assert_eq!(bytes.len(), 256);
        let in_alphabet =
            (0..0x300).filter_map(char::from_u32).filter(|&character| byte_of(character).is_some());
        assert_eq!(in_alphabet.count(), 256);
    }
}
