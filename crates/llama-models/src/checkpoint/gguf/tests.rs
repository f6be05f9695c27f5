//! Damaged GGUF files, one kind per test, each with its error's text; and what undamaged ones say.

use std::{path::Path, sync::Arc};

use llama_backend::weight::WeightDtype;

use super::{Gguf, GgufValue, GgufWriter};
use crate::ModelError;

fn parse(bytes: Vec<u8>) -> Result<Gguf, ModelError> {
    Gguf::parse(Path::new("m.gguf"), Arc::new(bytes))
}

fn check_error(bytes: Vec<u8>, expected: &str) {
    let error = parse(bytes).expect_err("damaged");
    assert_eq!(error.to_string(), format!("m.gguf: {expected}"));
}

/// A file made by hand, so that it can be wrong: `body` follows the counts.
fn raw(num_tensors: u64, num_entries: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend(num_tensors.to_le_bytes());
    bytes.extend(num_entries.to_le_bytes());
    bytes.extend(body);
    bytes
}

fn string(text: &[u8]) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text);
    bytes
}

fn entry(key: &[u8], type_id: u32, value: &[u8]) -> Vec<u8> {
    [string(key), type_id.to_le_bytes().to_vec(), value.to_vec()].concat()
}

/// A tensor description; `dims` fastest first, as in the file.
fn info(name: &[u8], dims: &[u64], type_id: u32, offset: u64) -> Vec<u8> {
    let mut bytes = string(name);
    bytes.extend((dims.len() as u32).to_le_bytes());
    bytes.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
    bytes.extend(type_id.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

/// A file with these descriptions and `data_bytes` of data.
fn with_tensors(infos: &[Vec<u8>], data_bytes: usize) -> Vec<u8> {
    let mut bytes = raw(infos.len() as u64, 0, &infos.concat());
    bytes.resize(bytes.len().next_multiple_of(32) + data_bytes, 7);
    bytes
}

const F32: u32 = 0;
const Q8_0: u32 = 8;

fn small() -> Vec<u8> {
    let mut writer = GgufWriter::default();
    writer.set("general.architecture", "llama");
    writer.set("tokenizer.ggml.tokens", vec!["a".to_owned(), "b".to_owned()]);
    writer.declare("a", WeightDtype::F32, &[2, 3]).expect("valid");
    writer.declare("b", WeightDtype::Q8_0, &[32]).expect("valid");
    let mut body = writer.start(Vec::new()).expect("written");
    body.append(&[1; 24]).expect("declared");
    body.append(&[2; 34]).expect("declared");
    body.finish().expect("complete")
}

#[test]
fn what_is_written_is_read() {
    let gguf = parse(small()).expect("valid");
    let listed: Vec<String> = gguf
        .tensors
        .summaries()
        .map(|tensor| format!("{} {} {:?} {}", tensor.name, tensor.dtype, tensor.shape, tensor.num_bytes))
        .collect();
    assert_eq!(listed, ["a F32 [2, 3] 24", "b Q8_0 [32] 34"]);
    let b = gguf.tensors.mapped(Path::new(""), "b").expect("supported").expect("there");
    assert_eq!(b.bytes(), [2; 34]);
    let tokens: Vec<&str> = gguf.metadata.required("tokenizer.ggml.tokens").expect("there");
    assert_eq!(tokens, ["a", "b"]);
}

#[test]
fn every_truncation_is_an_error() {
    let whole = small();
    let data_end = whole.len() - 30; // the last tensor's padding may be absent
    for len in 0..data_end {
        let error = parse(whole[..len].to_vec()).expect_err("truncated");
        assert!(error.to_string().starts_with("m.gguf: "), "{error}");
    }
    parse(whole[..data_end].to_vec()).expect("valid");
}

#[test]
fn magic_and_version_are_checked() {
    check_error(vec![], "ends within the magic bytes: 4 bytes needed at offset 0, 0 left");
    check_error(b"GGML1234".to_vec(), "not a GGUF file: begins with [47, 47, 4d, 4c], expected \"GGUF\"");
    for version in [0u32, 1, 4, 3 << 24] {
        let mut bytes = small();
        bytes[4..8].copy_from_slice(&version.to_le_bytes());
        let expected = format!("GGUF version {version}; versions 2 and 3, little-endian, are supported");
        check_error(bytes, &expected);
    }
    let mut bytes = small();
    bytes[4] = 2;
    parse(bytes).expect("version 2 has the same layout");
}

#[test]
fn counts_are_limited_by_the_file() {
    check_error(
        raw(0, u64::MAX, &[0; 26]),
        "claims 18446744073709551615 metadata entries, but the bytes that are left hold at most 2",
    );
    check_error(raw(3, 0, &[0; 64]), "claims 3 tensors, but the bytes that are left hold at most 2");
    let array =
        |element: u32, len: u64| [element.to_le_bytes().to_vec(), len.to_le_bytes().to_vec()].concat();
    check_error(
        raw(0, 1, &entry(b"k", 9, &array(8, 1 << 60))),
        "claims 1152921504606846976 array elements, but the bytes that are left hold at most 0",
    );
    check_error(
        raw(0, 1, &entry(b"k", 8, &u64::MAX.to_le_bytes())),
        "ends within a string of the metadata: 18446744073709551615 bytes needed at offset 45, 0 left",
    );
}

#[test]
fn metadata_is_checked() {
    let one = |value: Vec<u8>| raw(0, 1, &value);
    check_error(
        one(entry(b"k", 13, &[0; 8])),
        "key \"k\": expected a value type from 0 to 12, found type 13",
    );
    let nested = [9u32.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec(), vec![0; 32]].concat();
    check_error(
        one(entry(b"k", 9, &nested)),
        "key \"k\": expected an array of single values, found an array of arrays",
    );
    check_error(one(entry(&[0xff], 7, &[1])), "a metadata key at offset 24 is not UTF-8");
    let twice = [entry(b"k", 7, &[1]), entry(b"k", 7, &[0])].concat();
    check_error(raw(0, 2, &twice), "key \"k\" stands there twice");
    check_error(
        one(entry(&[b'k'; 70_000], 7, &[1])),
        "a metadata key of 70000 bytes; at most 65535 are read",
    );
    for alignment in [0u32, 24] {
        let expected = format!("key \"general.alignment\": expected a power of two, found {alignment}");
        check_error(one(entry(b"general.alignment", 4, &alignment.to_le_bytes())), &expected);
    }
}

#[test]
fn shapes_are_checked() {
    let check = |dims: &[u64], type_id: u32, expected: &str| {
        check_error(with_tensors(&[info(b"t", dims, type_id, 0)], 64), &format!("tensor \"t\": {expected}"));
    };
    check(&[], F32, "shape []: no dimensions");
    check(&[1; 5], F32, "shape []: more than 4 dimensions");
    check(&[4, 0], F32, "shape [0, 4]: a dimension is zero");
    check(&[33, 2], Q8_0, "shape [2, 33]: a row is no whole number of blocks");
    check(&[1 << 32, 1 << 32], F32, "shape [4294967296, 4294967296]: too many elements");
    check(&[u64::MAX], F32, "shape [18446744073709551615]: too many elements");
    check(&[4], 4, "unknown ggml type 4");
}

#[test]
fn places_are_checked() {
    let one = |offset: u64| with_tensors(&[info(b"t", &[8], F32, offset)], 64);
    parse(one(32)).expect("valid");
    check_error(one(64), "tensor \"t\": lies outside the file: offset 64, 32 bytes, in 64 bytes of data");
    check_error(one(8), "tensor \"t\": is not aligned: offset 8, 32 bytes, in 64 bytes of data");
    check_error(
        one(u64::MAX - 31),
        "tensor \"t\": lies outside the file: offset 18446744073709551584, 32 bytes, in 64 bytes of data",
    );
    check_error(
        with_tensors(&[info(b"a", &[9], F32, 0), info(b"b", &[1], F32, 32)], 64),
        "tensor \"b\" overlaps tensor \"a\"",
    );
    check_error(
        with_tensors(&[info(b"a", &[1], F32, 0), info(b"a", &[1], F32, 32)], 64),
        "tensor \"a\" stands there twice, or in another shard too",
    );
}

#[test]
fn names_are_checked() {
    check_error(
        with_tensors(&[info(&[0xc3, 0x28], &[1], F32, 0)], 64),
        "a tensor name at offset 24 is not UTF-8",
    );
    check_error(
        with_tensors(&[info(&[b't'; 1025], &[1], F32, 0)], 64),
        "a tensor name of 1025 bytes; at most 1024 are read",
    );
}

#[test]
fn known_formats_that_are_not_computed_are_listed_only() {
    let gguf = parse(with_tensors(&[info(b"t", &[32], 7, 0)], 64)).expect("valid");
    assert_eq!(gguf.tensors.summary("t").expect("listed").dtype.to_string(), "Q5_1");
    let error = gguf.tensors.mapped(Path::new("m.gguf"), "t").expect_err("unsupported");
    assert!(error.to_string().starts_with("m.gguf: tensor \"t\": format Q5_1 is not supported"), "{error}");
}

/// Writes one value and reads it as a `T`, which must fail with this text.
fn check_wrong_type<T>(value: GgufValue, expected: &str)
where
    T: for<'a> super::FromGguf<'a> + std::fmt::Debug,
{
    let mut writer = GgufWriter::default();
    writer.set("k", value);
    let gguf = parse(writer.start(Vec::new()).expect("written").finish().expect("complete")).expect("valid");
    let error = gguf.metadata.required::<T>("k").expect_err("wrong type");
    assert_eq!(error.to_string(), format!("m.gguf: key \"k\": {expected}"));
}

#[test]
fn values_of_other_types_are_refused() {
    let text = GgufValue::from("x");
    check_wrong_type::<u32>(
        text.clone(),
        "expected an integer of 32 bits, not negative, found a value of type string",
    );
    check_wrong_type::<u32>(
        (-1).into(),
        "expected an integer of 32 bits, not negative, found a value of type i32",
    );
    check_wrong_type::<u32>(
        (1u64 << 32).into(),
        "expected an integer of 32 bits, not negative, found a value of type u64",
    );
    check_wrong_type::<f32>(1u32.into(), "expected a floating-point number, found a value of type u32");
    check_wrong_type::<bool>(1u32.into(), "expected a boolean, found a value of type u32");
    check_wrong_type::<Vec<f32>>(vec![1i32, 2].into(), "expected an array of f32, found an array of 2 x i32");
    check_wrong_type::<Vec<i32>>(text, "expected an array of i32 or u32, found a value of type string");
}

#[test]
fn values_are_read_in_every_type() {
    let mut writer = GgufWriter::default();
    writer.set("u32", 7u32);
    writer.set("u64", 8u64);
    writer.set("i32", 9);
    writer.set("f32", 0.5f32);
    writer.set("bool", false);
    writer.set("bool", true);
    writer.set("str", "ü");
    writer.set("f32s", vec![0.5f32, -1.0]);
    writer.set("i32s", vec![-1, 3]);
    let gguf = parse(writer.start(Vec::new()).expect("written").finish().expect("complete")).expect("valid");
    let metadata = &gguf.metadata;
    let int = |key| metadata.required::<u32>(key).expect("there");
    assert_eq!((int("u32"), int("u64"), int("i32")), (7, 8, 9));
    assert_eq!(metadata.required::<f32>("f32").expect("there"), 0.5);
    assert!(metadata.required::<bool>("bool").expect("there"));
    assert_eq!(metadata.required::<&str>("str").expect("there"), "ü");
    assert_eq!(metadata.required::<Vec<f32>>("f32s").expect("there"), [0.5, -1.0]);
    assert_eq!(metadata.required::<Vec<i32>>("i32s").expect("there"), [-1, 3]);
    assert_eq!(metadata.array_len("i32s"), Some(2));
    assert_eq!(metadata.optional::<u32>("absent").expect("absent"), None);
    assert_eq!(
        metadata.required::<u32>("absent").expect_err("absent").to_string(),
        "m.gguf: key \"absent\" is missing"
    );
    assert_eq!(metadata.keys().next(), Some(("bool", "a value of type bool".to_owned())));
}

#[test]
fn metadata_is_copied_byte_for_byte_but_for_the_alignment() {
    let entries = [
        entry(b"array", 9, &[&4u32.to_le_bytes()[..], &2u64.to_le_bytes(), &[1; 8]].concat()),
        entry(b"general.alignment", 4, &64u32.to_le_bytes()),
        entry(b"i8", 1, &[0x80]),
        entry(b"not utf-8", 8, &string(&[0xff, 0xfe])),
        entry(b"u64", 10, &[9; 8]),
    ];
    let from = parse(raw(0, 5, &entries.concat())).expect("valid");
    let mut writer = GgufWriter::default();
    writer.set("u64", 1u64);
    writer.copy_metadata(&from.metadata);
    writer.set("i8", 7);
    let copied = writer.start(Vec::new()).expect("written").finish().expect("complete");
    let kept =
        [entries[4].clone(), entries[0].clone(), entry(b"i8", 5, &7i32.to_le_bytes()), entries[3].clone()];
    let mut expected = raw(0, 4, &kept.concat());
    expected.resize(expected.len().next_multiple_of(32), 0);
    assert_eq!(copied, expected);
}

#[test]
fn strings_that_are_not_utf8_are_refused_when_asked_for() {
    let gguf = parse(raw(0, 1, &entry(b"k", 8, &string(&[0xff])))).expect("walked over");
    assert_eq!(
        gguf.metadata.required::<&str>("k").expect_err("not UTF-8").to_string(),
        "m.gguf: key \"k\": expected a UTF-8 string, found a value of type string"
    );
}

#[test]
fn the_writer_refuses_what_does_not_fit() {
    let check = |result: Result<(), ModelError>, expected: &str| {
        let error = result.expect_err("refused").to_string();
        assert_eq!(error, format!("writing GGUF: tensor {expected}"));
    };
    let mut writer = GgufWriter::default();
    check(writer.declare("t", WeightDtype::Q8_0, &[33]), "\"t\": shape [33] does not do for Q8_0");
    check(writer.declare("t", WeightDtype::F32, &[1; 5]), "\"t\": shape [1, 1, 1, 1, 1] does not do for F32");
    check(writer.declare("t", WeightDtype::F32, &[0]), "\"t\": shape [0] does not do for F32");
    check(writer.declare("t", WeightDtype::F32, &[]), "\"t\": shape [] does not do for F32");
    writer.declare("t", WeightDtype::F32, &[1]).expect("valid");
    check(writer.declare("t", WeightDtype::F32, &[1]), "\"t\": declared twice");
    writer.declare("u", WeightDtype::F32, &[1]).expect("valid");
    let mut body = writer.start(Vec::new()).expect("written");
    body.append(&[0; 4]).expect("declared");
    check(body.append(&[0; 5]), "\"u\": 5 bytes of data, 4 declared");
    check(body.append(&[0; 4]), "\"\": more data than declared tensors");
    let mut writer = GgufWriter::default();
    writer.declare("v", WeightDtype::F32, &[1]).expect("valid");
    check(
        writer.start(Vec::new()).expect("written").finish().map(|_| ()),
        "\"v\": declared, but got no data",
    );
}
