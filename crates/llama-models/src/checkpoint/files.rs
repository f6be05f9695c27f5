//! Which files make up a checkpoint, and where they lie.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::mapped_file::MappedFile;
use crate::ModelError;

pub(super) const CONFIG: &str = "config.json";
pub(super) const GENERATION_CONFIG: &str = "generation_config.json";
pub(super) const SINGLE: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";
const GGUF_EXTENSION: &str = "gguf";

/// One file of weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub num_bytes: u64,
}

/// The form that a checkpoint has on disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One GGUF file.
    Gguf(PathBuf),
    /// A directory with `model.safetensors`.
    Single(PathBuf),
    /// A directory with `model.safetensors.index.json`.
    Sharded(PathBuf),
}

impl Layout {
    /// Looks at what `path` is. Any regular file is taken for GGUF, whatever its name: its magic bytes decide.
    pub(super) fn locate(path: &Path) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io { path: path.to_owned(), source };
        if !fs::metadata(path).map_err(io)?.is_dir() {
            return Ok(Self::Gguf(path.to_owned()));
        }
        if path.join(SINGLE).exists() {
            return Ok(Self::Single(path.to_owned()));
        }
        if path.join(INDEX).exists() {
            return Ok(Self::Sharded(path.to_owned()));
        }
        let mut ggufs = gguf_files(path).map_err(io)?;
        match (ggufs.pop(), ggufs.len()) {
            (Some(file), 0) => Ok(Self::Gguf(path.join(file))),
            (Some(last), _) => {
                ggufs.push(last);
                Err(ModelError::AmbiguousCheckpoint { path: path.to_owned(), found: ggufs })
            }
            (None, _) => Err(ModelError::NoCheckpoint { path: path.to_owned() }),
        }
    }
}

/// Names of the GGUF files in a directory, sorted.
fn gguf_files(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = PathBuf::from(entry?.file_name());
        if name.extension().is_some_and(|extension| extension == GGUF_EXTENSION) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Maps a JSON file, refusing what is larger than any real one.
pub(super) fn open_json(path: &Path, what: &'static str, max_bytes: u64) -> Result<MappedFile, ModelError> {
    let file = MappedFile::open(path)?;
    if file.num_bytes() > max_bytes {
        return Err(ModelError::TooLarge {
            path: path.to_owned(),
            what,
            found: file.num_bytes(),
            limit: max_bytes,
        });
    }
    Ok(file)
}
