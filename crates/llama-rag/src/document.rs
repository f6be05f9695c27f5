//! [`Document`]: a text with a name; [`Chunk`]: a piece of one.

use std::{collections::BTreeMap, fmt, ops::Range, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

/// What is known of a document besides its text, to filter by.
pub type Metadata = BTreeMap<String, String>;

/// A text to index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name, unique in a collection: a path with `/`, a URL.
    pub source: String,
    /// The text.
    pub text: String,
    /// What its text is written in.
    pub format: Format,
    /// What is known of it.
    pub metadata: Metadata,
}

/// What a text is written in: it decides where it may be cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Paragraphs, sentences and words.
    #[default]
    Plain,
    /// CommonMark: headings, lists and blocks, too.
    Markdown,
}

impl Document {
    /// Plain text without metadata.
    pub fn new(source: impl Into<String>, text: impl Into<String>) -> Self {
        Self { source: source.into(), text: text.into(), format: Format::Plain, metadata: Metadata::new() }
    }

    /// The same document, written in `format`.
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// The same document with one more fact about it.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}

impl Format {
    /// By the end of the file's name; `None` for one that is not known to be text.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "md" | "markdown" | "mdown" | "mkd" => Some(Self::Markdown),
            "txt" | "text" | "rst" | "org" | "adoc" => Some(Self::Plain),
            _ => None,
        }
    }
}

/// Names a chunk within its collection. Never given out twice, so an id that is gone stays gone. Ids of one document rise in the
/// order of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkId(pub u32);

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A piece of a document. Its text is exactly `range` of the document's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its name.
    pub id: ChunkId,
    /// The document's name.
    pub source: Arc<str>,
    /// Bytes of the document's text.
    pub range: Range<usize>,
    /// The text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_their_format() {
        for (name, format) in [
            ("a/README.md", Some(Format::Markdown)),
            ("NOTES.TXT", Some(Format::Plain)),
            ("a.png", None),
            ("Makefile", None),
        ] {
            assert_eq!(Format::of_path(Path::new(name)), format, "{name}");
        }
    }
}
