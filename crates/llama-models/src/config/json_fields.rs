//! Typed reading of a JSON object whose every error names the file and the field.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{ModelError, error::excerpt};

/// A JSON object out of a file.
pub(super) struct JsonFields<'a> {
    path: PathBuf,
    /// `rope_scaling.` and the like, for messages.
    prefix: &'static str,
    fields: std::borrow::Cow<'a, Map<String, Value>>,
}

impl JsonFields<'static> {
    /// Parses a whole file.
    pub(super) fn parse(path: &Path, json: &[u8]) -> Result<Self, ModelError> {
        let fields = serde_json::from_slice(json)
            .map_err(|source| ModelError::Json { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), prefix: "", fields: std::borrow::Cow::Owned(fields) })
    }
}

impl<'a> JsonFields<'a> {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the field is there, if only as null.
    pub(super) fn contains(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// The value of a field that is there and not null.
    pub(super) fn value(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// A size; `None` if absent or null.
    pub(super) fn size(&self, field: &str) -> Result<Option<usize>, ModelError> {
        self.read(field, "an integer, not negative", |value| value.as_u64()?.try_into().ok())
    }

    /// A size that must be there.
    pub(super) fn required_size(&self, field: &str) -> Result<usize, ModelError> {
        self.size(field)?.ok_or_else(|| self.missing(field))
    }

    /// A number in f32, in which the model computes.
    pub(super) fn float(&self, field: &str) -> Result<Option<f32>, ModelError> {
        self.read(field, "a number", |value| Some(value.as_f64()? as f32))
    }

    /// A truth value.
    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, ModelError> {
        self.read(field, "true or false", Value::as_bool)
    }

    /// Text.
    pub(super) fn text(&self, field: &str) -> Result<Option<&str>, ModelError> {
        self.read(field, "a string", Value::as_str)
    }

    /// A list of texts.
    pub(super) fn texts(&self, field: &str) -> Result<Option<Vec<&str>>, ModelError> {
        self.read(field, "a list of strings", |value| value.as_array()?.iter().map(Value::as_str).collect())
    }

    /// One token id or a list of them.
    pub(super) fn token_ids(&self, field: &str) -> Result<Option<Vec<u32>>, ModelError> {
        let token_id = |value: &Value| value.as_u64()?.try_into().ok();
        self.read(field, "a token id or a list of them", |value| match value {
            Value::Array(ids) => ids.iter().map(token_id).collect(),
            id => Some(vec![token_id(id)?]),
        })
    }

    /// An object within; `prefix` is its name with a full stop, for messages.
    pub(super) fn object(
        &'a self,
        field: &str,
        prefix: &'static str,
    ) -> Result<Option<JsonFields<'a>>, ModelError> {
        let fields = self.read(field, "an object", Value::as_object)?;
        Ok(fields.map(|fields| JsonFields {
            path: self.path.clone(),
            prefix,
            fields: std::borrow::Cow::Borrowed(fields),
        }))
    }

    /// The error of a field that must be there.
    pub(super) fn missing(&self, field: &str) -> ModelError {
        ModelError::MissingField { path: self.path.clone(), field: format!("{}{field}", self.prefix) }
    }

    /// The error of a field that asks for what the decoder does not compute.
    pub(super) fn unsupported(&self, field: &str, found: &str, supported: &'static str) -> ModelError {
        ModelError::Unsupported {
            path: self.path.clone(),
            field: format!("{}{field}", self.prefix),
            found: format!("{:?}", excerpt(found)),
            supported,
        }
    }

    fn read<'b, T>(
        &'b self,
        field: &str,
        expected: &str,
        decode: impl FnOnce(&'b Value) -> Option<T>,
    ) -> Result<Option<T>, ModelError> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        match decode(value) {
            Some(decoded) => Ok(Some(decoded)),
            None => Err(ModelError::Field {
                path: self.path.clone(),
                field: format!("{}{field}", self.prefix),
                expected: expected.to_owned(),
                found: excerpt(&value.to_string()),
            }),
        }
    }
}
