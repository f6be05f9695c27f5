//! Files in memory: mapped whole, read by nobody until someone looks. The crate's only `unsafe`.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use llama_backend::weight::ByteOwner;
use memmap2::Mmap;

use crate::ModelError;

/// A file and its bytes.
#[derive(Clone)]
pub(crate) struct MappedFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: ByteOwner,
}

impl MappedFile {
    /// Maps a regular file. An empty one gives no bytes; a pipe or device is refused, for it could block.
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io { path: path.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(io)?;
        if !metadata.is_file() {
            return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let bytes: ByteOwner = if metadata.len() == 0 {
            Arc::new(Vec::new())
        } else {
            let file = File::open(path).map_err(io)?;
            Arc::new(map(&file).map_err(io)?)
        };
        Ok(Self { path: path.to_owned(), bytes })
    }

    pub(crate) fn num_bytes(&self) -> u64 {
        (*self.bytes).as_ref().len() as u64
    }
}

fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is private and read-only, and we only ever hand out shared slices of it. Rust's rules would
    // still be broken if another process changed or cut the file meanwhile; checkpoints are replaced by renaming,
    // never rewritten in place, which is what every engine that maps weights relies on. Numbers out of the map
    // index nothing unchecked, so the worst of such a change is wrong weights or SIGBUS.
    unsafe { Mmap::map(file) }
}
