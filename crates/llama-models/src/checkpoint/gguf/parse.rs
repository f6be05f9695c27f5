//! A whole GGUF header: magic, version, metadata, tensor descriptions; what follows is data.

use std::path::Path;

use llama_backend::weight::ByteOwner;

use super::{cursor::Cursor, metadata::GgufMetadata, tensors};
use crate::{ModelError, checkpoint::table::TensorTable};

const MAGIC: [u8; 4] = *b"GGUF";
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;
/// A key of length 0, a type, a value of one byte.
const MIN_METADATA_BYTES: usize = 8 + 4 + 1;
const DEFAULT_ALIGNMENT: u32 = 32;
pub(super) const ALIGNMENT_KEY: &str = "general.alignment";

/// A parsed GGUF file. Only the header was read.
#[derive(Clone, Debug)]
pub struct Gguf {
    /// Keys and values.
    pub metadata: GgufMetadata,
    /// The tensors under their names in the file.
    pub tensors: TensorTable,
}

impl Gguf {
    /// Parses a header. `path` is for messages; no data byte is touched.
    ///
    /// # Errors
    /// Every way in which the header can contradict itself or the file; the error names the key or tensor.
    pub fn parse(path: &Path, bytes: ByteOwner) -> Result<Self, ModelError> {
        let owner = bytes.clone();
        let mut cursor = Cursor::new(path, (*bytes).as_ref(), 0);
        check_version(path, &mut cursor)?;
        let num_tensors = cursor.u64("the number of tensors")?;
        let num_entries = cursor.count("metadata entries", MIN_METADATA_BYTES)?;
        let metadata = GgufMetadata::parse(&mut cursor, num_entries, path, owner.clone())?;
        let num_tensors = cursor.check_count("tensors", num_tensors, tensors::MIN_INFO_BYTES)?;
        let infos = tensors::read_infos(&mut cursor, num_tensors, path)?;
        let alignment = alignment(&metadata)?;
        let tensors = tensors::place(path, owner, cursor.offset(), alignment, infos)?;
        Ok(Self { metadata, tensors })
    }
}

fn check_version(path: &Path, cursor: &mut Cursor<'_>) -> Result<(), ModelError> {
    let magic: [u8; 4] = cursor.array("the magic bytes")?;
    if magic != MAGIC {
        return Err(ModelError::NotGguf { path: path.to_owned(), found: magic });
    }
    let version = cursor.u32("the version")?;
    if !VERSIONS.contains(&version) {
        return Err(ModelError::GgufVersion { path: path.to_owned(), found: version });
    }
    Ok(())
}

/// Every tensor's offset, and the start of the data, is a multiple of this.
fn alignment(metadata: &GgufMetadata) -> Result<u64, ModelError> {
    let alignment = metadata.optional(ALIGNMENT_KEY)?.unwrap_or(DEFAULT_ALIGNMENT);
    if !alignment.is_power_of_two() {
        return Err(metadata.wrong_value(ALIGNMENT_KEY, "a power of two", alignment.to_string()));
    }
    Ok(alignment.into())
}
