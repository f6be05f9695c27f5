//! Header of one safetensors file: 8 bytes of length, that many bytes of JSON, then the data without holes.
//!
//! The format is described in the README of <https://github.com/huggingface/safetensors>.

use std::{borrow::Cow, fmt, path::Path, sync::Arc};

use llama_backend::weight::{ByteOwner, MappedTensor, WeightDtype};
use safetensors::Dtype;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor, value::StrDeserializer},
};

use crate::{
    ModelError,
    checkpoint::table::{TensorDtype, TensorSummary, TensorTable},
    error::excerpt,
};

const LENGTH_BYTES: usize = 8;
/// The format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;
const MAX_RANK: usize = 8;
const METADATA_KEY: &str = "__metadata__";

/// Reads the header of a safetensors file. `path` is for messages; no data byte is touched.
///
/// # Errors
/// Every way in which the header can contradict itself or the file; the error names the tensor.
pub fn parse(path: &Path, bytes: ByteOwner) -> Result<TensorTable, ModelError> {
    let file = (*bytes).as_ref();
    let json = header_json(path, file)?;
    let data_start = LENGTH_BYTES + json.len();
    let mut header: Header<'_> =
        serde_json::from_slice(json).map_err(|source| ModelError::Json { path: path.to_owned(), source })?;
    header.0.sort_by_key(|tensor| tensor.raw.data_offsets);
    check_coverage(path, &header.0, (file.len() - data_start) as u64)?;

    let mut table = TensorTable::default();
    for tensor in &header.0 {
        let summary = tensor.check(path)?;
        let mapped = match summary.dtype {
            TensorDtype::Supported(dtype) => {
                let start = data_start + tensor.raw.data_offsets.0 as usize; // inside the file: check_coverage
                let range = start..start + summary.num_bytes;
                let owner = bytes.clone();
                Some(MappedTensor::new(&summary.name, dtype, &summary.shape, owner, range)?)
            }
            TensorDtype::Unsupported(_) => None,
        };
        table.insert(path, summary, mapped)?;
    }
    Ok(table)
}

/// The JSON between the length and the data.
fn header_json<'a>(path: &Path, file: &'a [u8]) -> Result<&'a [u8], ModelError> {
    let truncated = |what, offset: usize, needed| ModelError::Truncated {
        path: path.to_owned(),
        what,
        offset: offset as u64,
        needed,
        available: (file.len() - offset) as u64,
    };
    let (length, rest) = file
        .split_first_chunk::<LENGTH_BYTES>()
        .ok_or_else(|| truncated("the header's length", 0, LENGTH_BYTES as u64))?;
    let found = u64::from_le_bytes(*length);
    if found > MAX_HEADER_BYTES {
        return Err(ModelError::TooLarge {
            path: path.to_owned(),
            what: "safetensors header",
            found,
            limit: MAX_HEADER_BYTES,
        });
    }
    rest.get(..found as usize).ok_or_else(|| truncated("the header", LENGTH_BYTES, found))
}

/// Tensors in the order of their offsets must follow each other exactly, from the first data byte to the last.
fn check_coverage(path: &Path, tensors: &[HeaderTensor<'_>], data_bytes: u64) -> Result<(), ModelError> {
    let mut previous: Option<&HeaderTensor<'_>> = None;
    for tensor in tensors {
        let (begin, end) = tensor.raw.data_offsets;
        if begin > end || end > data_bytes {
            return Err(ModelError::TensorRange {
                path: path.to_owned(),
                tensor: excerpt(&tensor.name),
                reason: if begin > end { "ends before it starts" } else { "lies outside the file" },
                offset: begin,
                bytes: end.saturating_sub(begin),
                available: data_bytes,
            });
        }
        let claimed = previous.map_or(0, |tensor| tensor.raw.data_offsets.1);
        match previous {
            Some(other) if begin < claimed => {
                return Err(ModelError::TensorOverlap {
                    path: path.to_owned(),
                    tensor: excerpt(&tensor.name),
                    other: excerpt(&other.name),
                });
            }
            _ => check_claimed(path, claimed, begin)?,
        }
        previous = Some(tensor);
    }
    let claimed = previous.map_or(0, |tensor| tensor.raw.data_offsets.1);
    check_claimed(path, claimed, data_bytes)
}

fn check_claimed(path: &Path, claimed: u64, begin: u64) -> Result<(), ModelError> {
    if claimed == begin {
        return Ok(());
    }
    Err(ModelError::UnclaimedBytes { path: path.to_owned(), range: claimed..begin })
}

/// The header's tensors in the order of the JSON.
struct Header<'a>(Vec<HeaderTensor<'a>>);

struct HeaderTensor<'a> {
    name: Cow<'a, str>,
    raw: RawTensor<'a>,
}

#[derive(Deserialize)]
struct RawTensor<'a> {
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl HeaderTensor<'_> {
    /// Shape, format and length against each other.
    fn check(&self, path: &Path) -> Result<TensorSummary, ModelError> {
        let wrong_shape = |reason| ModelError::TensorShape {
            path: path.to_owned(),
            tensor: excerpt(&self.name),
            shape: self.raw.shape.iter().copied().take(MAX_RANK).collect(),
            reason,
        };
        if self.raw.shape.len() > MAX_RANK {
            return Err(wrong_shape("more than 8 dimensions"));
        }
        if self.raw.shape.contains(&0) {
            return Err(wrong_shape("a dimension is zero"));
        }
        let (begin, end) = self.raw.data_offsets;
        let dtype = known_dtype(&self.raw.dtype);
        if let Some(dtype) = dtype {
            let bits = (self.raw.shape.iter())
                .try_fold(dtype.bitsize() as u64, |bits, &dim| bits.checked_mul(dim))
                .ok_or_else(|| wrong_shape("too many elements"))?;
            if !bits.is_multiple_of(8) || bits / 8 != end - begin {
                return Err(ModelError::TensorSize {
                    path: path.to_owned(),
                    tensor: excerpt(&self.name),
                    expected: bits.div_ceil(8),
                    found: end - begin,
                });
            }
        }
        let shape: Result<Vec<usize>, _> = self.raw.shape.iter().map(|&dim| dim.try_into()).collect();
        Ok(TensorSummary {
            name: Arc::from(&*self.name),
            dtype: match dtype.and_then(weight_dtype) {
                Some(dtype) => TensorDtype::Supported(dtype),
                None => TensorDtype::Unsupported(excerpt(&self.raw.dtype).into()),
            },
            shape: shape.map_err(|_| wrong_shape("too many elements"))?,
            num_bytes: (end - begin) as usize,
        })
    }
}

/// `None` for formats younger than the safetensors crate: those are listed, but not sized.
fn known_dtype(name: &str) -> Option<Dtype> {
    Dtype::deserialize(StrDeserializer::<serde::de::value::Error>::new(name)).ok()
}

fn weight_dtype(dtype: Dtype) -> Option<WeightDtype> {
    match dtype {
        Dtype::F32 => Some(WeightDtype::F32),
        Dtype::F16 => Some(WeightDtype::F16),
        Dtype::BF16 => Some(WeightDtype::Bf16),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Header<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tensors = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            if name == METADATA_KEY {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw = map
                .next_value()
                .map_err(|error| A::Error::custom(format!("tensor {:?}: {error}", excerpt(&name))))?;
            tensors.push(HeaderTensor { name, raw });
        }
        Ok(Header(tensors))
    }
}

/// A borrowed key where the JSON has no escapes; serde borrows a `Cow` only behind this attribute.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data_bytes: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data_bytes, 7);
        bytes
    }

    fn parse_bytes(bytes: Vec<u8>) -> Result<TensorTable, ModelError> {
        parse(Path::new("m.safetensors"), Arc::new(bytes))
    }

    /// Parses a header before `data_bytes` bytes of data and compares the error, source included.
    fn check_error(header: &str, data_bytes: usize, expected: &str) {
        let error = parse_bytes(file(header, data_bytes)).expect_err("damaged");
        let mut text = error.to_string();
        if let ModelError::Json { source, .. } = &error {
            text = format!("{text}: {source}");
        }
        assert_eq!(text, format!("m.safetensors: {expected}"));
    }

    const A: &str = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;

    #[test]
    fn tensors_come_in_file_order_with_unsupported_ones_listed() {
        let header = r#"{"__metadata__":{"format":"pt"},
            "late":{"dtype":"BF16","shape":[2,3],"data_offsets":[16,28]},
            "ids":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},
            "first":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},
            "new":{"dtype":"F3_X","shape":[4],"data_offsets":[28,30]}}"#;
        let table = parse_bytes(file(header, 30)).expect("valid");
        let listed: Vec<String> = table
            .summaries()
            .map(|tensor| format!("{} {} {:?} {}", tensor.name, tensor.dtype, tensor.shape, tensor.num_bytes))
            .collect();
        assert_eq!(listed, ["first F16 [4] 8", "ids I64 [1] 8", "late BF16 [2, 3] 12", "new F3_X [4] 2"]);
        let late = table.mapped(Path::new("m"), "late").expect("supported").expect("there");
        assert_eq!(late.bytes().len(), 12);
        assert_eq!(
            table.mapped(Path::new("m"), "ids").expect_err("unsupported").to_string(),
            "m: tensor \"ids\": format I64 is not supported here; supported: \
             F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q8_0, Q4_K, Q5_K, Q6_K"
        );
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = file(&format!("{{{A}}}"), 8);
        for len in 0..whole.len() {
            let error = parse_bytes(whole[..len].to_vec()).expect_err("truncated");
            assert!(error.to_string().starts_with("m.safetensors: "), "{error}");
        }
        parse_bytes(whole).expect("valid");
    }

    #[test]
    fn lengths_of_the_header_are_checked() {
        let check = |length: u64, expected: &str| {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.extend(b"{}");
            assert_eq!(parse_bytes(bytes).expect_err("damaged").to_string(), expected);
        };
        check(3, "m.safetensors: ends within the header: 3 bytes needed at offset 8, 2 left");
        check(
            u64::MAX,
            "m.safetensors: safetensors header of 18446744073709551615 bytes; at most 100000000 are read",
        );
        check(
            f64::NAN.to_bits(),
            "m.safetensors: safetensors header of 9221120237041090560 bytes; at most 100000000 are read",
        );
        assert_eq!(
            parse_bytes(Vec::new()).expect_err("empty").to_string(),
            "m.safetensors: ends within the header's length: 8 bytes needed at offset 0, 0 left"
        );
    }

    #[test]
    fn offsets_must_cover_the_data_once() {
        check_error(&format!("{{{A}}}"), 9, "data bytes 8..9 belong to no tensor");
        check_error(
            &format!("{{{A}}}"),
            7,
            "tensor \"a\": lies outside the file: offset 0, 8 bytes, in 7 bytes of data",
        );
        check_error(
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
            8,
            "tensor \"a\": ends before it starts: offset 8, 0 bytes, in 8 bytes of data",
        );
        let overlap = format!(r#"{{{A},"b":{{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}}}"#);
        check_error(&overlap, 12, "tensor \"b\" overlaps tensor \"a\"");
        let hole = format!(r#"{{{A},"b":{{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}}}"#);
        check_error(&hole, 16, "data bytes 8..12 belong to no tensor");
        check_error(
            r#"{"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,18446744073709551615]}}"#,
            8,
            "tensor \"a\": lies outside the file: offset 0, 18446744073709551615 bytes, in 8 bytes of data",
        );
    }

    #[test]
    fn shapes_are_checked() {
        let shape =
            |shape: &str| format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,8]}}}}"#);
        check_error(&shape("[0]"), 8, "tensor \"a\": shape [0]: a dimension is zero");
        check_error(
            &shape("[4294967296,4294967296]"),
            8,
            "tensor \"a\": shape [4294967296, 4294967296]: too many elements",
        );
        check_error(
            &shape("[1,1,1,1,1,1,1,1,2]"),
            8,
            "tensor \"a\": shape [1, 1, 1, 1, 1, 1, 1, 1]: more than 8 dimensions",
        );
        check_error(&shape("[3]"), 8, "tensor \"a\": shape and format take 12 bytes, the header gives it 8");
        check_error(
            &shape("[-1]"),
            8,
            "not valid JSON: tensor \"a\": invalid value: integer `-1`, expected u64 at line 1 column 31",
        );
    }

    #[test]
    fn names_must_be_unique() {
        let twice = format!(r#"{{{A},"a":{{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}}}"#);
        check_error(&twice, 16, "tensor \"a\" stands there twice, or in another shard too");
    }

    #[test]
    fn text_that_is_not_utf8_or_not_an_object_is_refused() {
        let mut bytes = file(&format!("{{{A}}}"), 8);
        bytes[10] = 0xff;
        let error = parse_bytes(bytes).expect_err("damaged");
        assert!(matches!(error, ModelError::Json { .. }), "{error}");
        check_error(
            "[]",
            0,
            "not valid JSON: invalid type: sequence, expected an object of tensors at line 1 column 0",
        );
    }
}
