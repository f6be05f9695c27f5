//! Requests as JSON objects whose fields are read in groups.
//!
//! serde's `flatten` forgets in which field a value stood. Here each group reads the whole object for itself, so that errors name the field;
//! what no group has read is unknown, and refused: a field that is ignored silently may be one that the caller relies on.

use std::fmt::Display;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, Visitor, value},
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};

/// A request of which some groups have been read.
pub(crate) struct Object {
    fields: Value,
    known: Vec<&'static str>,
}

impl Object {
    /// Reads an object; fields that are null count as absent.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        fields.retain(|_, value| !value.is_null());
        Ok(Self { fields: Value::Object(fields), known: Vec::new() })
    }

    /// Reads a group of fields.
    pub(crate) fn take<T: DeserializeOwned, E: Error>(&mut self) -> Result<T, E> {
        self.known.extend(names::<T>());
        serde_path_to_error::deserialize(&self.fields).map_err(|error| in_field::<E>(&error))
    }

    /// Refuses what no group knows.
    pub(crate) fn finish<E: Error>(self) -> Result<(), E> {
        let Value::Object(fields) = self.fields else { return Ok(()) };
        match fields.keys().find(|name| !self.known.contains(&name.as_str())) {
            Some(name) => Err(E::custom(format_args!("{name}: not supported"))),
            None => Ok(()),
        }
    }
}

/// The fields that a struct reads: derived readers say them before anything else.
fn names<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut names = FieldNames(&[]);
    // It always fails, after the names have been said.
    let _ = T::deserialize(&mut names);
    names.0
}

struct FieldNames(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut FieldNames {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(value::Error::custom("only names are asked for"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn in_field<E: Error>(error: &serde_path_to_error::Error<impl Display>) -> E {
    match error.path().to_string().as_str() {
        "." => E::custom(error.inner()),
        path => E::custom(format_args!("{path}: {}", error.inner())),
    }
}
