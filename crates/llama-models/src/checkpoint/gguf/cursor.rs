//! A place in a GGUF file that only moves forward and never past the end.

use std::path::Path;

use crate::ModelError;

/// Reads little-endian numbers and strings, each with a name for the error message.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at `offset`, which is inside `bytes`.
    pub(super) fn new(path: &'a Path, bytes: &'a [u8], offset: usize) -> Self {
        assert!(offset <= bytes.len(), "cursor starts inside the file");
        Self { path, bytes, offset }
    }

    /// Bytes before the cursor.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes after the cursor.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.offset
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, what: &'static str, len: u64) -> Result<&'a [u8], ModelError> {
        let available = self.remaining() as u64;
        if len > available {
            return Err(ModelError::Truncated {
                path: self.path.to_owned(),
                what,
                offset: self.offset as u64,
                needed: len,
                available,
            });
        }
        let start = self.offset;
        self.offset += len as usize; // at most `remaining`
        Ok(&self.bytes[start..self.offset])
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ModelError> {
        let bytes = self.take(what, N as u64)?;
        Ok(bytes.try_into().expect("take gives the length asked for"))
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, ModelError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, ModelError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A count of things that each take at least `min_bytes`: refused if the rest of the file cannot hold them.
    pub(super) fn count(&mut self, what: &'static str, min_bytes: usize) -> Result<usize, ModelError> {
        let found = self.u64(what)?;
        self.check_count(what, found, min_bytes)
    }

    /// Refuses a count that the rest of the file cannot hold.
    pub(super) fn check_count(
        &self,
        what: &'static str,
        found: u64,
        min_bytes: usize,
    ) -> Result<usize, ModelError> {
        let limit = (self.remaining() / min_bytes) as u64;
        if found > limit {
            return Err(ModelError::Count { path: self.path.to_owned(), what, found, limit });
        }
        Ok(found as usize)
    }

    /// The bytes of a string: a length of 8 bytes, then that many bytes.
    pub(super) fn string_bytes(&mut self, what: &'static str) -> Result<&'a [u8], ModelError> {
        let len = self.u64(what)?;
        self.take(what, len)
    }

    /// A string of at most `max_bytes`.
    pub(super) fn name(&mut self, what: &'static str, max_bytes: u64) -> Result<&'a str, ModelError> {
        let offset = self.offset as u64;
        let bytes = self.string_bytes(what)?;
        if bytes.len() as u64 > max_bytes {
            return Err(ModelError::TooLarge {
                path: self.path.to_owned(),
                what,
                found: bytes.len() as u64,
                limit: max_bytes,
            });
        }
        std::str::from_utf8(bytes).map_err(|_| ModelError::NotUtf8 {
            path: self.path.to_owned(),
            what,
            offset,
        })
    }
}
