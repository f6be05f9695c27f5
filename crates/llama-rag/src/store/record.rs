//! Records as bytes: eight bytes of a checksum over key and content, then the content.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Format, Metadata};

const CHECKSUM_LEN: usize = 8;

/// What is stored of a document besides its chunks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DocumentRecord {
    /// SHA-256 of its text.
    pub(crate) hash: [u8; 32],
    pub(crate) format: Format,
    pub(crate) metadata: Metadata,
    /// The folder that it was found in; absent for one that was added by hand.
    pub(crate) folder: Option<String>,
    pub(crate) first_chunk: u32,
    pub(crate) num_chunks: u32,
}

impl DocumentRecord {
    pub(crate) fn chunk_ids(&self) -> std::ops::Range<u32> {
        self.first_chunk..self.first_chunk.saturating_add(self.num_chunks)
    }

    pub(super) fn seal(&self, source: &str) -> Vec<u8> {
        let content = serde_json::to_vec(self).expect("strings and numbers have a JSON form");
        seal(source.as_bytes(), &content)
    }

    pub(super) fn unseal(source: &str, sealed: &[u8]) -> Option<Self> {
        serde_json::from_slice(unseal(source.as_bytes(), sealed)?).ok()
    }
}

/// A chunk: where it stands, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRecord {
    pub(crate) start: u64,
    pub(crate) text: String,
}

impl ChunkRecord {
    pub(super) fn seal(&self, id: u32) -> Vec<u8> {
        seal(&id.to_le_bytes(), &[&self.start.to_le_bytes(), self.text.as_bytes()].concat())
    }

    pub(super) fn unseal(id: u32, sealed: &[u8]) -> Option<Self> {
        let (start, text) = unseal(&id.to_le_bytes(), sealed)?.split_first_chunk()?;
        Some(Self { start: u64::from_le_bytes(*start), text: str::from_utf8(text).ok()?.to_owned() })
    }
}

/// SHA-256 of a text.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

pub(super) fn seal(key: &[u8], content: &[u8]) -> Vec<u8> {
    [&checksum(key, content), content].concat()
}

/// The content, if it is what was sealed under this key.
pub(super) fn unseal<'a>(key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (stored, content) = sealed.split_first_chunk::<CHECKSUM_LEN>()?;
    (*stored == checksum(key, content)).then_some(content)
}

/// The beginning of SHA-256: it finds accidents, and is no proof against intent.
fn checksum(key: &[u8], content: &[u8]) -> [u8; CHECKSUM_LEN] {
    let digest =
        Sha256::new_with_prefix((key.len() as u64).to_le_bytes()).chain_update(key).chain_update(content);
    let digest: [u8; 32] = digest.finalize().into();
    *digest.first_chunk().expect("a digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_only_whole_and_under_its_key() {
        let chunk = ChunkRecord { start: 7, text: "Nur Text".to_owned() };
        let sealed = chunk.seal(3);
        assert_eq!(ChunkRecord::unseal(3, &sealed), Some(chunk));
        assert_eq!(ChunkRecord::unseal(4, &sealed), None);
        for i in 0..sealed.len() {
            let mut torn = sealed.clone();
            torn[i] ^= 1;
            assert_eq!(ChunkRecord::unseal(3, &torn), None, "byte {i}");
            assert_eq!(ChunkRecord::unseal(3, &sealed[..i]), None, "cut at {i}");
        }
    }
}
