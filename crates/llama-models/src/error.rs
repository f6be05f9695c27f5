//! What can go wrong between a checkpoint on disk and a decoder.

use std::{io, ops::Range, path::PathBuf};

use candle_core::DType;
use llama_backend::{BackendError, weight::WeightDtype};
use llama_kv::KvError;

/// Errors of checkpoints and their configuration. Each names the file and the tensor, field or key at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The operating system refused a file. Check the path and its permissions.
    #[error("{path}: cannot be read")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Writing a checkpoint failed. Check the free space.
    #[error("the checkpoint cannot be written")]
    Write(#[source] io::Error),
    /// The path holds no checkpoint. Name a directory in Hugging Face form, or a `.gguf` file.
    #[error(
        "{path}: no checkpoint here; expected a .gguf file, or a directory with one .gguf, with model.safetensors \
         or with model.safetensors.index.json (each of the latter beside a config.json)"
    )]
    NoCheckpoint {
        /// What was opened.
        path: PathBuf,
    },
    /// The directory holds several GGUF files. Name one of them.
    #[error("{path}: several .gguf files; open one of them: {found:?}")]
    AmbiguousCheckpoint {
        /// The directory.
        path: PathBuf,
        /// The files, sorted.
        found: Vec<String>,
    },
    /// A header is larger than any real one: the file is damaged or not what its name says.
    #[error("{path}: {what} of {found} bytes; at most {limit} are read")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Which part.
        what: &'static str,
        /// Its size.
        found: u64,
        /// The largest that is accepted.
        limit: u64,
    },
    /// The file ends early. Download it again.
    #[error("{path}: ends within {what}: {needed} bytes needed at offset {offset}, {available} left")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What was being read.
        what: &'static str,
        /// Where.
        offset: u64,
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that remain.
        available: u64,
    },
    /// JSON that does not parse. Download the file again.
    #[error("{path}: not valid JSON")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The file does not begin like a GGUF file.
    #[error("{path}: not a GGUF file: begins with {found:02x?}, expected \"GGUF\"")]
    NotGguf {
        /// The file.
        path: PathBuf,
        /// Its first four bytes.
        found: [u8; 4],
    },
    /// A GGUF version that is not read. Convert the model again with a current converter.
    #[error("{path}: GGUF version {found}; versions 2 and 3, little-endian, are supported")]
    GgufVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A GGUF header claims more entries than the file has room for: it is damaged.
    #[error("{path}: claims {found} {what}, but the bytes that are left hold at most {limit}")]
    Count {
        /// The file.
        path: PathBuf,
        /// Entries of what.
        what: &'static str,
        /// The claim.
        found: u64,
        /// The most that fit.
        limit: u64,
    },
    /// Text that is not UTF-8: the file is damaged.
    #[error("{path}: {what} at offset {offset} is not UTF-8")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Which text.
        what: &'static str,
        /// Where it starts.
        offset: u64,
    },
    /// A GGUF metadata value has the wrong type or is impossible.
    #[error("{path}: key {key:?}: expected {expected}, found {found}")]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The metadata key.
        key: String,
        /// What was wanted.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A GGUF metadata key that must be there is not.
    #[error("{path}: key {key:?} is missing")]
    MissingMetadata {
        /// The file.
        path: PathBuf,
        /// The metadata key.
        key: String,
    },
    /// The same metadata key stands twice in a GGUF file.
    #[error("{path}: key {key:?} stands there twice")]
    DuplicateMetadata {
        /// The file.
        path: PathBuf,
        /// The metadata key.
        key: String,
    },
    /// The same tensor stands twice, in one file or in two shards.
    #[error("{path}: tensor {tensor:?} stands there twice, or in another shard too")]
    DuplicateTensor {
        /// The file that repeats it.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A shape that no tensor has, or that does not fit the element format.
    #[error("{path}: tensor {tensor:?}: shape {shape:?}: {reason}")]
    TensorShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Dimensions, slowest first.
        shape: Vec<u64>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An element format that no version of GGUF known here defines.
    #[error("{path}: tensor {tensor:?}: unknown ggml type {found}")]
    UnknownGgmlType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The type's number.
        found: u32,
    },
    /// Bytes and shape contradict each other: the file is damaged.
    #[error("{path}: tensor {tensor:?}: shape and format take {expected} bytes, the header gives it {found}")]
    TensorSize {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Bytes of that shape in that format.
        expected: u64,
        /// Bytes in the header.
        found: u64,
    },
    /// A tensor lies outside its file: the file is cut off, or damaged.
    #[error(
        "{path}: tensor {tensor:?}: {reason}: offset {offset}, {bytes} bytes, in {available} bytes of data"
    )]
    TensorRange {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What is wrong with the place.
        reason: &'static str,
        /// Where it starts, counted from the start of the data.
        offset: u64,
        /// Its length.
        bytes: u64,
        /// Length of the data.
        available: u64,
    },
    /// Two tensors share bytes: the file is damaged.
    #[error("{path}: tensor {tensor:?} overlaps tensor {other:?}")]
    TensorOverlap {
        /// The file.
        path: PathBuf,
        /// The later tensor.
        tensor: String,
        /// The one before it.
        other: String,
    },
    /// Bytes of a safetensors file that belong to no tensor, which the format forbids.
    #[error("{path}: data bytes {range:?} belong to no tensor")]
    UnclaimedBytes {
        /// The file.
        path: PathBuf,
        /// Which bytes, counted from the start of the data.
        range: Range<u64>,
    },
    /// A tensor that the decoder needs is not there: another architecture, or an incomplete download.
    #[error("{path}: tensor {tensor:?} is missing")]
    MissingTensor {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor; if the file names it otherwise, both names.
        tensor: String,
    },
    /// A tensor's shape is not what the configuration implies: config and weights do not belong together.
    #[error("{path}: tensor {tensor:?}: expected shape {expected:?}, found {found:?}")]
    ShapeMismatch {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor; if the file names it otherwise, both names.
        tensor: String,
        /// What the configuration implies.
        expected: Vec<usize>,
        /// What the file has.
        found: Vec<usize>,
    },
    /// A tensor that the decoder needs is in a format that it cannot compute with. Convert the checkpoint.
    #[error("{path}: tensor {tensor:?}: format {found} is not supported here; supported: {supported}")]
    UnsupportedDtype {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor; if the file names it otherwise, both names.
        tensor: String,
        /// The format in the file.
        found: String,
        /// The formats that would do.
        supported: String,
    },
    /// The checkpoint is quantised already: doing it again would add error upon error. Quantise the dense original.
    #[error("{path}: tensor {tensor:?} is {found} already; only dense checkpoints can be quantised")]
    AlreadyQuantized {
        /// The checkpoint.
        path: PathBuf,
        /// The first such tensor.
        tensor: String,
        /// Its format.
        found: WeightDtype,
    },
    /// A shard that the index names is not there: the download is incomplete.
    #[error("{path}: shard {shard:?} is missing")]
    MissingShard {
        /// The index.
        path: PathBuf,
        /// The shard's file name.
        shard: String,
    },
    /// The index names a shard outside its directory. Do not use this checkpoint.
    #[error("{path}: shard {shard:?} is not a plain file name")]
    ShardName {
        /// The index.
        path: PathBuf,
        /// The name as it stands there.
        shard: String,
    },
    /// The index promises a tensor that its shard does not hold: files of different downloads are mixed.
    #[error("{path}: tensor {tensor:?} is not in shard {shard:?}")]
    ShardTensor {
        /// The index.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shard's file name.
        shard: String,
    },
    /// A field of the configuration that must be there is not.
    #[error("{path}: field {field:?} is missing")]
    MissingField {
        /// The configuration.
        path: PathBuf,
        /// The field.
        field: String,
    },
    /// A field of the configuration is impossible.
    #[error("{path}: field {field:?}: expected {expected}, found {found}")]
    Field {
        /// The configuration.
        path: PathBuf,
        /// The field, in its Hugging Face name.
        field: String,
        /// What is possible.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A model family that is not implemented. Adding one is a file in `families/`.
    #[error("{path}: model family {found:?} is not supported; supported: {supported}")]
    UnsupportedFamily {
        /// The configuration.
        path: PathBuf,
        /// Architecture or model type.
        found: String,
        /// The families that are implemented.
        supported: String,
    },
    /// The model uses something that the decoder does not compute.
    #[error("{path}: {field} {found} is not supported; supported: {supported}")]
    Unsupported {
        /// The configuration.
        path: PathBuf,
        /// The field, in its Hugging Face name.
        field: String,
        /// What it asks for.
        found: String,
        /// What would do.
        supported: &'static str,
    },
    /// A tensor was declared or supplied wrongly while writing a GGUF file: a fault in the caller.
    #[error("writing GGUF: tensor {tensor:?}: {reason}")]
    GgufWrite {
        /// The tensor.
        tensor: String,
        /// What does not fit, with the numbers.
        reason: String,
    },
    /// The device cannot compute in this dtype. Choose one of those it can.
    #[error("{device} computes in {supported:?}, not in {found:?}")]
    ComputeDtype {
        /// The device.
        device: String,
        /// What was asked for.
        found: DType,
        /// What it can.
        supported: &'static [DType],
    },
    /// A weight was refused below, or the device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The cache could not be written.
    #[error(transparent)]
    Kv(#[from] KvError),
}

impl From<candle_core::Error> for ModelError {
    fn from(source: candle_core::Error) -> Self {
        Self::Backend(source.into())
    }
}

/// At most `MAX_CHARS` characters of text out of a file, so that hostile input does not flood a message.
pub(crate) fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 120;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
