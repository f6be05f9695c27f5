//! Metadata values: how they lie in the file, how they are read as Rust types, and owned ones for writing.

use std::ops::Range;

use super::cursor::Cursor;
use crate::ModelError;

const ARRAY_ID: u32 = 9;

/// Types of a single metadata value, by their numbers in the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScalarType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Str,
    U64,
    I64,
    F64,
}

/// Number, type, bytes (for a string: the least it takes), name.
const SCALAR_TYPES: [(u32, ScalarType, usize, &str); 12] = [
    (0, ScalarType::U8, 1, "u8"),
    (1, ScalarType::I8, 1, "i8"),
    (2, ScalarType::U16, 2, "u16"),
    (3, ScalarType::I16, 2, "i16"),
    (4, ScalarType::U32, 4, "u32"),
    (5, ScalarType::I32, 4, "i32"),
    (6, ScalarType::F32, 4, "f32"),
    (7, ScalarType::Bool, 1, "bool"),
    (8, ScalarType::Str, 8, "string"),
    (10, ScalarType::U64, 8, "u64"),
    (11, ScalarType::I64, 8, "i64"),
    (12, ScalarType::F64, 8, "f64"),
];

impl ScalarType {
    fn row(self) -> &'static (u32, Self, usize, &'static str) {
        (SCALAR_TYPES.iter().find(|row| row.1 == self)).expect("every variant has a row")
    }

    fn from_id(id: u32) -> Option<Self> {
        SCALAR_TYPES.iter().find(|row| row.0 == id).map(|row| row.1)
    }

    pub(super) fn id(self) -> u32 {
        self.row().0
    }

    fn min_bytes(self) -> usize {
        self.row().2
    }

    fn name(self) -> &'static str {
        self.row().3
    }
}

/// A value that was walked over once and found to lie inside the file.
#[derive(Clone, Debug)]
pub(super) struct RawValue {
    scalar: ScalarType,
    /// Number of elements; `None` for a single value.
    array_len: Option<usize>,
    /// The elements, without type and count.
    range: Range<usize>,
}

impl RawValue {
    /// Walks over one value. `Err(Ok(..))` is not ours to phrase: the caller knows the key.
    pub(super) fn walk(cursor: &mut Cursor<'_>) -> Result<Self, WalkError> {
        let id = cursor.u32("the type of a metadata value")?;
        let (scalar, array_len) = if id == ARRAY_ID {
            let element = cursor.u32("the element type of an array")?;
            let scalar = ScalarType::from_id(element).ok_or(match element {
                ARRAY_ID => WalkError::NestedArray,
                other => WalkError::UnknownType(other),
            })?;
            let len = cursor.count("array elements", scalar.min_bytes())?;
            (scalar, Some(len))
        } else {
            (ScalarType::from_id(id).ok_or(WalkError::UnknownType(id))?, None)
        };
        let start = cursor.offset();
        let len = array_len.unwrap_or(1);
        if scalar == ScalarType::Str {
            for _ in 0..len {
                cursor.string_bytes("a string of the metadata")?;
            }
        } else {
            // No overflow: `count` limited the product to the rest of the file.
            cursor.take("a metadata value", (len * scalar.min_bytes()) as u64)?;
        }
        Ok(Self { scalar, array_len, range: start..cursor.offset() })
    }

    /// Type and length, for messages.
    pub(super) fn describe(&self) -> String {
        match self.array_len {
            Some(len) => format!("an array of {len} x {}", self.scalar.name()),
            None => format!("a value of type {}", self.scalar.name()),
        }
    }

    pub(super) fn array_len(&self) -> Option<usize> {
        self.array_len
    }

    /// Appends type, count and elements as they lie in `file`.
    pub(super) fn encode(&self, file: &[u8], out: &mut Vec<u8>) {
        match self.array_len {
            Some(len) => encode_array_header(out, self.scalar, len),
            None => out.extend(self.scalar.id().to_le_bytes()),
        }
        out.extend(&file[self.range.clone()]);
    }
}

/// Why a value cannot be walked over.
pub(super) enum WalkError {
    NestedArray,
    UnknownType(u32),
    Model(ModelError),
}

impl From<ModelError> for WalkError {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

/// A metadata value and the file that it lies in; what [`FromGguf`] reads from.
#[derive(Clone, Copy, Debug)]
pub struct ValueRef<'a> {
    pub(super) raw: &'a RawValue,
    pub(super) file: &'a [u8],
}

/// Types that a metadata value can be read as.
pub trait FromGguf<'a>: Sized {
    /// What an error says was expected.
    const EXPECTED: &'static str;

    /// Reads the value; `None` if it is of another type, or impossible.
    fn from_gguf(value: ValueRef<'a>) -> Option<Self>;
}

impl<'a> ValueRef<'a> {
    fn bytes(self) -> &'a [u8] {
        &self.file[self.raw.range.clone()]
    }

    /// The bytes of a single value of one of these types.
    fn scalar(self) -> Option<(ScalarType, &'a [u8])> {
        match self.raw.array_len {
            None => Some((self.raw.scalar, self.bytes())),
            Some(_) => None,
        }
    }

    fn integer(self) -> Option<i128> {
        let (scalar, bytes) = self.scalar()?;
        decode_integer(scalar, bytes)
    }

    /// The elements of an array of fixed-size values of this type.
    fn elements(self, scalar: ScalarType) -> Option<std::slice::ChunksExact<'a, u8>> {
        self.raw.array_len?;
        (self.raw.scalar == scalar && scalar != ScalarType::Str)
            .then(|| self.bytes().chunks_exact(scalar.min_bytes()))
    }
}

fn decode_integer(scalar: ScalarType, bytes: &[u8]) -> Option<i128> {
    let mut wide = [0; 8];
    wide[..bytes.len().min(8)].copy_from_slice(&bytes[..bytes.len().min(8)]);
    let unsigned = u64::from_le_bytes(wide);
    Some(match scalar {
        ScalarType::U8 | ScalarType::U16 | ScalarType::U32 | ScalarType::U64 => unsigned.into(),
        ScalarType::I8 => (unsigned as i8).into(),
        ScalarType::I16 => (unsigned as i16).into(),
        ScalarType::I32 => (unsigned as i32).into(),
        ScalarType::I64 => (unsigned as i64).into(),
        ScalarType::F32 | ScalarType::F64 | ScalarType::Bool | ScalarType::Str => return None,
    })
}

fn split_string(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<8>()?;
    let (text, rest) = rest.split_at_checked(u64::from_le_bytes(*len).try_into().ok()?)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

impl<'a> FromGguf<'a> for &'a str {
    const EXPECTED: &'static str = "a UTF-8 string";

    fn from_gguf(value: ValueRef<'a>) -> Option<Self> {
        match value.scalar()? {
            (ScalarType::Str, bytes) => split_string(bytes).map(|(text, _)| text),
            _ => None,
        }
    }
}

impl FromGguf<'_> for u32 {
    const EXPECTED: &'static str = "an integer of 32 bits, not negative";

    fn from_gguf(value: ValueRef<'_>) -> Option<Self> {
        value.integer()?.try_into().ok()
    }
}

impl FromGguf<'_> for f32 {
    const EXPECTED: &'static str = "a floating-point number";

    fn from_gguf(value: ValueRef<'_>) -> Option<Self> {
        match value.scalar()? {
            (ScalarType::F32, bytes) => Some(f32::from_le_bytes(bytes.try_into().ok()?)),
            (ScalarType::F64, bytes) => Some(f64::from_le_bytes(bytes.try_into().ok()?) as f32),
            _ => None,
        }
    }
}

impl FromGguf<'_> for bool {
    const EXPECTED: &'static str = "a boolean";

    fn from_gguf(value: ValueRef<'_>) -> Option<Self> {
        match value.scalar()? {
            (ScalarType::Bool, [0]) => Some(false),
            (ScalarType::Bool, [1]) => Some(true),
            _ => None,
        }
    }
}

impl<'a> FromGguf<'a> for Vec<&'a str> {
    const EXPECTED: &'static str = "an array of UTF-8 strings";

    fn from_gguf(value: ValueRef<'a>) -> Option<Self> {
        let len = value.raw.array_len?;
        if value.raw.scalar != ScalarType::Str {
            return None;
        }
        let mut rest = value.bytes();
        let mut texts = Vec::with_capacity(len); // the file has 8 bytes for each
        for _ in 0..len {
            let (text, after) = split_string(rest)?;
            texts.push(text);
            rest = after;
        }
        Some(texts)
    }
}

impl FromGguf<'_> for Vec<f32> {
    const EXPECTED: &'static str = "an array of f32";

    fn from_gguf(value: ValueRef<'_>) -> Option<Self> {
        let elements = value.elements(ScalarType::F32)?;
        elements.map(|bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?))).collect()
    }
}

impl FromGguf<'_> for Vec<i32> {
    const EXPECTED: &'static str = "an array of i32 or u32";

    fn from_gguf(value: ValueRef<'_>) -> Option<Self> {
        let elements = (value.elements(ScalarType::I32)).or_else(|| value.elements(ScalarType::U32))?;
        let scalar = value.raw.scalar;
        elements.map(|bytes| decode_integer(scalar, bytes)?.try_into().ok()).collect()
    }
}

/// An owned metadata value, for writing.
#[derive(Clone, Debug, PartialEq)]
pub enum GgufValue {
    /// An unsigned number.
    U32(u32),
    /// An unsigned number of 64 bits.
    U64(u64),
    /// A signed number.
    I32(i32),
    /// A floating-point number.
    F32(f32),
    /// A truth value.
    Bool(bool),
    /// Text.
    Str(String),
    /// Texts.
    Strs(Vec<String>),
    /// Floating-point numbers.
    F32s(Vec<f32>),
    /// Signed numbers.
    I32s(Vec<i32>),
}

impl GgufValue {
    /// Appends type, count and elements as they lie in a file.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::U32(value) => encode_scalar(out, ScalarType::U32, &value.to_le_bytes()),
            Self::U64(value) => encode_scalar(out, ScalarType::U64, &value.to_le_bytes()),
            Self::I32(value) => encode_scalar(out, ScalarType::I32, &value.to_le_bytes()),
            Self::F32(value) => encode_scalar(out, ScalarType::F32, &value.to_le_bytes()),
            Self::Bool(value) => encode_scalar(out, ScalarType::Bool, &[u8::from(*value)]),
            Self::Str(text) => {
                out.extend(ScalarType::Str.id().to_le_bytes());
                encode_string(out, text);
            }
            Self::Strs(texts) => {
                encode_array_header(out, ScalarType::Str, texts.len());
                texts.iter().for_each(|text| encode_string(out, text));
            }
            Self::F32s(values) => {
                encode_array_header(out, ScalarType::F32, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::I32s(values) => {
                encode_array_header(out, ScalarType::I32, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
    }
}

fn encode_scalar(out: &mut Vec<u8>, scalar: ScalarType, bytes: &[u8]) {
    out.extend(scalar.id().to_le_bytes());
    out.extend(bytes);
}

fn encode_array_header(out: &mut Vec<u8>, element: ScalarType, len: usize) {
    out.extend(ARRAY_ID.to_le_bytes());
    out.extend(element.id().to_le_bytes());
    out.extend((len as u64).to_le_bytes());
}

/// Appends length and bytes.
pub(super) fn encode_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

macro_rules! value_from {
    ($($source:ty => $variant:ident),* $(,)?) => {
        $(impl From<$source> for GgufValue {
            fn from(value: $source) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

value_from! {
    u32 => U32, u64 => U64, i32 => I32, f32 => F32, bool => Bool, &str => Str, String => Str,
    Vec<String> => Strs, Vec<f32> => F32s, Vec<i32> => I32s,
}
