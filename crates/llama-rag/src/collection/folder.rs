//! Finding texts in a folder.
//!
//! Names and contents come from anywhere: what cannot be text is skipped with a reason, nothing is followed out of the folder, and nothing is
//! read beyond the limit. Files come in the order of their names.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use crate::{Format, Metadata, RagError, error::Result};

/// Zero bytes in here make a file binary.
const SNIFFED_BYTES: usize = 8192;

/// Which files of a folder are indexed, and under which names.
#[derive(Clone, Debug)]
pub struct FolderOptions {
    /// Comes before the names of its files, and tells folders of one collection apart: a file's source is `name/path/in/it`. Empty for
    /// the one folder of a collection.
    pub name: String,
    /// What is known of all its documents.
    pub metadata: Metadata,
    /// Larger files are skipped.
    pub max_file_bytes: u64,
    /// Symbolic links are skipped, unless this is set; loops always are.
    pub links: Links,
}

/// Whether symbolic links are followed, also out of the folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// They are skipped.
    #[default]
    Skip,
    /// They are followed, except in circles.
    Follow,
}

impl Default for FolderOptions {
    /// Files up to 16 MiB, links skipped.
    fn default() -> Self {
        Self { name: String::new(), metadata: Metadata::new(), max_file_bytes: 16 << 20, links: Links::Skip }
    }
}

/// A file that was not indexed.
#[derive(Debug)]
pub struct Skipped {
    /// Within the folder.
    pub path: PathBuf,
    /// Why.
    pub reason: SkipReason,
}

/// Why a file was not indexed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// It has zero bytes.
    #[error("not a text")]
    Binary,
    /// Its content or its name is in another encoding.
    #[error("not in UTF-8")]
    NotUtf8,
    /// It is larger than the limit.
    #[error("larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// It is a symbolic link, or part of a circle of them.
    #[error("a symbolic link")]
    Link,
    /// It cannot be opened now. What was known of it stays.
    #[error("cannot be read")]
    Unreadable(#[source] io::Error),
}

impl SkipReason {
    /// Whether the file may be read another time.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreadable(_))
    }
}

/// What a folder holds.
pub(super) struct Walk {
    pub(super) files: Vec<Found>,
    pub(super) skipped: Vec<Skipped>,
}

/// A file that may be text.
pub(super) struct Found {
    path: PathBuf,
    pub(super) relative: PathBuf,
    pub(super) format: Format,
}

impl FolderOptions {
    pub(super) fn walk(&self, folder: &Path) -> Result<Walk> {
        let unusable = |source| RagError::Folder { path: folder.to_owned(), source };
        std::fs::read_dir(folder).map_err(unusable)?;
        let mut walk = Walk { files: Vec::new(), skipped: Vec::new() };
        let entries = WalkDir::new(folder).follow_links(self.links == Links::Follow).sort_by_file_name();
        for entry in
            entries.into_iter().filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name()))
        {
            let relative = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_owned();
            let skip = |path: &Path, reason| Skipped { path: relative(path), reason };
            match entry {
                Ok(entry) if entry.path_is_symlink() && self.links == Links::Skip => {
                    walk.skipped.push(skip(entry.path(), SkipReason::Link));
                }
                Ok(entry) if entry.file_type().is_file() => {
                    let Some(format) = Format::of_path(entry.path()) else { continue };
                    let (path, relative) = (entry.path().to_owned(), relative(entry.path()));
                    match relative.to_str() {
                        Some(_) => walk.files.push(Found { path, relative, format }),
                        None => walk.skipped.push(Skipped { path: relative, reason: SkipReason::NotUtf8 }),
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    let path = error.path().unwrap_or(folder).to_owned();
                    let is_loop = error.loop_ancestor().is_some();
                    let cause =
                        error.into_io_error().unwrap_or_else(|| io::Error::other("a circle of links"));
                    let reason = if is_loop { SkipReason::Link } else { SkipReason::Unreadable(cause) };
                    walk.skipped.push(skip(&path, reason));
                }
            }
        }
        Ok(walk)
    }

    /// The name of the document in a file of the folder.
    pub(super) fn source(&self, relative: &Path) -> String {
        let mut parts: Vec<_> =
            relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        if !self.name.is_empty() {
            parts.insert(0, self.name.as_str().into());
        }
        parts.join("/")
    }
}

impl Found {
    pub(super) fn text(&self, limit_bytes: u64) -> Result<String, SkipReason> {
        let file = File::open(&self.path).map_err(SkipReason::Unreadable)?;
        let mut bytes = Vec::new();
        // The limit holds for what is read: a file's size may be a lie.
        file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(SkipReason::Unreadable)?;
        if bytes.len() as u64 > limit_bytes {
            return Err(SkipReason::TooLarge { limit_bytes });
        }
        if bytes.iter().take(SNIFFED_BYTES).any(|byte| *byte == 0) {
            return Err(SkipReason::Binary);
        }
        String::from_utf8(bytes).map_err(|_| SkipReason::NotUtf8)
    }
}

fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}
