//! The key-value part of a GGUF file: keys in memory, values in the map until asked for.
//!
//! Invariant: keys are unique and every value lies inside the file. Whether a value makes sense is for the reader
//! of that key to say, through the type it asks for.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use llama_backend::weight::ByteOwner;

use super::{
    cursor::Cursor,
    value::{FromGguf, RawValue, ValueRef, WalkError},
};
use crate::{ModelError, error::excerpt};

/// The format's limit on the length of a key.
const MAX_KEY_BYTES: u64 = 65_535;

/// The metadata of one GGUF file.
#[derive(Clone)]
pub struct GgufMetadata {
    path: PathBuf,
    owner: ByteOwner,
    values: BTreeMap<String, RawValue>,
}

impl GgufMetadata {
    /// Reads the value of `key` as a `T`: a `&str`, `u32`, `f32`, `bool`, `Vec<&str>`, `Vec<f32>` or `Vec<i32>`.
    /// `None` if there is no such key. Arrays are decoded anew by each call.
    ///
    /// # Errors
    /// [`ModelError::Metadata`] if the value is there and is no `T`.
    pub fn optional<'a, T: FromGguf<'a>>(&'a self, key: &str) -> Result<Option<T>, ModelError> {
        let Some(raw) = self.values.get(key) else {
            return Ok(None);
        };
        let file = (*self.owner).as_ref();
        match T::from_gguf(ValueRef { raw, file }) {
            Some(value) => Ok(Some(value)),
            None => Err(self.wrong_value(key, T::EXPECTED, raw.describe())),
        }
    }

    /// As [`Self::optional`], for keys that must be there.
    ///
    /// # Errors
    /// Also [`ModelError::MissingMetadata`].
    pub fn required<'a, T: FromGguf<'a>>(&'a self, key: &str) -> Result<T, ModelError> {
        self.optional(key)?
            .ok_or_else(|| ModelError::MissingMetadata { path: self.path.clone(), key: key.to_owned() })
    }

    /// Every key with the type of its value in words, sorted.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = (&str, String)> {
        self.values.iter().map(|(key, raw)| (key.as_str(), raw.describe()))
    }

    /// Whether the key is there, whatever its type.
    pub fn contains(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Number of elements of an array, without decoding it; `None` if the key is absent or no array.
    pub fn array_len(&self, key: &str) -> Option<usize> {
        self.values.get(key)?.array_len()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every key with its value as it lies in the file: type, count, elements. Sorted.
    pub(super) fn encoded(&self) -> impl Iterator<Item = (&str, Vec<u8>)> {
        self.values.iter().map(|(key, raw)| {
            let mut encoded = Vec::new();
            raw.encode((*self.owner).as_ref(), &mut encoded);
            (key.as_str(), encoded)
        })
    }

    /// An error about the value of `key`.
    pub(crate) fn wrong_value(&self, key: &str, expected: &'static str, found: String) -> ModelError {
        ModelError::Metadata { path: self.path.clone(), key: excerpt(key), expected, found }
    }

    /// Walks over `num_entries` keys and values.
    pub(super) fn parse(
        cursor: &mut Cursor<'_>,
        num_entries: usize,
        path: &Path,
        owner: ByteOwner,
    ) -> Result<Self, ModelError> {
        let mut metadata = Self { path: path.to_owned(), owner, values: BTreeMap::new() };
        for _ in 0..num_entries {
            let key = cursor.name("a metadata key", MAX_KEY_BYTES)?;
            let raw = RawValue::walk(cursor).map_err(|error| metadata.walk_error(key, error))?;
            if metadata.values.insert(key.to_owned(), raw).is_some() {
                return Err(ModelError::DuplicateMetadata { path: path.to_owned(), key: excerpt(key) });
            }
        }
        Ok(metadata)
    }

    fn walk_error(&self, key: &str, error: WalkError) -> ModelError {
        match error {
            WalkError::Model(error) => error,
            WalkError::NestedArray => {
                self.wrong_value(key, "an array of single values", "an array of arrays".to_owned())
            }
            WalkError::UnknownType(id) => {
                self.wrong_value(key, "a value type from 0 to 12", format!("type {id}"))
            }
        }
    }
}

impl fmt::Debug for GgufMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.keys()).finish()
    }
}
