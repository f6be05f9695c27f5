//! Checking a file against the length and SHA-256 in the list of known models.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{ModelFile, SourceError};

const CHUNK_BYTES: usize = 1 << 20;

/// Checks that `path` is exactly `expected`, and that the disk has it.
///
/// Reads the whole file: about a second per gigabyte.
///
/// # Errors
///
/// [`SourceError::NotDelivered`], [`SourceError::WrongLength`], [`SourceError::WrongHash`], or
/// [`SourceError::Io`] when it cannot be read or flushed.
pub(crate) fn verify(path: &Path, expected: &ModelFile) -> Result<(), SourceError> {
    let failed = |source| SourceError::Io { path: path.to_owned(), source };
    let name = || expected.name.to_owned();
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SourceError::NotDelivered { file: name() });
        }
        opened => opened.map_err(failed)?,
    };
    let found_bytes = file.metadata().map_err(failed)?.len();
    if found_bytes != expected.bytes {
        return Err(SourceError::WrongLength { file: name(), expected_bytes: expected.bytes, found_bytes });
    }
    let found = sha256(&file).map_err(failed)?;
    if found != expected.sha256 {
        return Err(SourceError::WrongHash { file: name(), expected: expected.sha256, found });
    }
    // Before the rename: after a power cut the name must not stand for missing blocks.
    file.sync_all().map_err(failed)
}

/// The SHA-256 of all that `reader` yields, in lower-case hexadecimal.
pub(crate) fn sha256(mut reader: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(format!("{:x}", hasher.finalize())),
            length => hasher.update(&chunk[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&b"abc"[..]).expect("reads memory"), abc);
    }

    #[test]
    fn what_differs_is_named() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let path = folder.path().join("a");
        let file = crate::test_support::leaked_file("a", b"abc");
        let verified = |content: &[u8]| {
            std::fs::write(&path, content).expect("writes");
            verify(&path, file)
        };
        assert!(verified(b"abc").is_ok());
        assert!(matches!(verified(b"ab"), Err(SourceError::WrongLength { found_bytes: 2, .. })));
        assert!(matches!(verified(b"abd"), Err(SourceError::WrongHash { .. })));
        let missing = verify(&folder.path().join("b"), file);
        assert!(matches!(missing, Err(SourceError::NotDelivered { .. })));
    }
}
