//! Writes GGUF version 3: declare everything, then stream the data, so that no tensor but one is in memory.

use std::{collections::BTreeSet, io::Write};

use llama_backend::weight::WeightDtype;

use super::{
    ggml_type::id_of,
    metadata::GgufMetadata,
    parse::ALIGNMENT_KEY,
    value::{GgufValue, encode_string},
};
use crate::ModelError;

const VERSION: u32 = 3;
const ALIGNMENT: u64 = 32; // the format's default
const MAX_RANK: usize = 4;

/// Collects metadata and tensor declarations of a GGUF file.
///
/// ```
/// # use std::{path::Path, sync::Arc};
/// use llama_backend::weight::WeightDtype;
/// use llama_models::checkpoint::gguf::{Gguf, GgufWriter};
///
/// let mut writer = GgufWriter::default();
/// writer.set("general.architecture", "llama");
/// writer.declare("output_norm.weight", WeightDtype::F32, &[2])?;
/// let mut body = writer.start(Vec::new())?;
/// body.append(&[0; 8])?;
/// let file = body.finish()?;
///
/// let gguf = Gguf::parse(Path::new("norm.gguf"), Arc::new(file))?;
/// assert_eq!(gguf.tensors.len(), 1);
/// # Ok::<_, llama_models::ModelError>(())
/// ```
#[derive(Debug, Default)]
pub struct GgufWriter {
    /// Keys, and values as they lie in a file.
    metadata: Vec<(String, Vec<u8>)>,
    tensors: Vec<Declared>,
    names: BTreeSet<String>,
}

#[derive(Debug)]
struct Declared {
    name: String,
    dtype: WeightDtype,
    shape: Vec<usize>,
    num_bytes: u64,
}

impl GgufWriter {
    /// Sets a metadata key, replacing an earlier value.
    pub fn set(&mut self, key: &str, value: impl Into<GgufValue>) {
        let mut encoded = Vec::new();
        value.into().encode(&mut encoded);
        self.set_encoded(key, encoded);
    }

    /// Takes over every key of another file, byte for byte, also those of types that this crate does not read;
    /// except the alignment, which is this writer's own.
    pub fn copy_metadata(&mut self, from: &GgufMetadata) {
        for (key, encoded) in from.encoded().filter(|(key, _)| *key != ALIGNMENT_KEY) {
            self.set_encoded(key, encoded);
        }
    }

    /// Declares the next tensor under its GGUF name; its data follows in the same order.
    ///
    /// # Shapes
    /// `shape` has 1 to 4 dimensions, slowest first; the last is a whole number of blocks.
    ///
    /// # Errors
    /// [`ModelError::GgufWrite`] if the shape does not do, or the name was declared before.
    pub fn declare(&mut self, name: &str, dtype: WeightDtype, shape: &[usize]) -> Result<(), ModelError> {
        let wrong = |reason: String| ModelError::GgufWrite { tensor: name.to_owned(), reason };
        let num_bytes = tensor_bytes(dtype, shape)
            .ok_or_else(|| wrong(format!("shape {shape:?} does not do for {dtype}")))?;
        if !self.names.insert(name.to_owned()) {
            return Err(wrong("declared twice".to_owned()));
        }
        self.tensors.push(Declared {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
            num_bytes: num_bytes as u64,
        });
        Ok(())
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`ModelError::Write`]
    pub fn start<W: Write>(self, mut sink: W) -> Result<GgufBody<W>, ModelError> {
        let mut header = self.header();
        pad(&mut header);
        sink.write_all(&header).map_err(ModelError::Write)?;
        Ok(GgufBody { sink, pending: self.tensors.into_iter() })
    }

    fn set_encoded(&mut self, key: &str, encoded: Vec<u8>) {
        match self.metadata.iter_mut().find(|(existing, _)| existing == key) {
            Some(entry) => entry.1 = encoded,
            None => self.metadata.push((key.to_owned(), encoded)),
        }
    }

    fn header(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, encoded) in &self.metadata {
            encode_string(&mut out, key);
            out.extend(encoded);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            encode_string(&mut out, &tensor.name);
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            for &dim in tensor.shape.iter().rev() {
                out.extend((dim as u64).to_le_bytes()); // fastest first
            }
            out.extend(id_of(tensor.dtype).to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset += tensor.num_bytes.next_multiple_of(ALIGNMENT);
        }
        out
    }
}

/// A GGUF file whose header is written and whose data is being streamed.
#[derive(Debug)]
pub struct GgufBody<W> {
    sink: W,
    pending: std::vec::IntoIter<Declared>,
}

impl<W: Write> GgufBody<W> {
    /// Writes the data of the next declared tensor.
    ///
    /// # Errors
    /// [`ModelError::GgufWrite`] if the length is not what was declared, or nothing more was; [`ModelError::Write`].
    pub fn append(&mut self, data: &[u8]) -> Result<(), ModelError> {
        let tensor = self.pending.next().ok_or_else(|| ModelError::GgufWrite {
            tensor: String::new(),
            reason: "more data than declared tensors".to_owned(),
        })?;
        if data.len() as u64 != tensor.num_bytes {
            return Err(ModelError::GgufWrite {
                tensor: tensor.name,
                reason: format!("{} bytes of data, {} declared", data.len(), tensor.num_bytes),
            });
        }
        let padding = tensor.num_bytes.next_multiple_of(ALIGNMENT) - tensor.num_bytes;
        let zeros = &[0; ALIGNMENT as usize][..padding as usize];
        self.sink.write_all(data).and_then(|()| self.sink.write_all(zeros)).map_err(ModelError::Write)
    }

    /// Flushes, and gives the sink back.
    ///
    /// # Errors
    /// [`ModelError::GgufWrite`] if a declared tensor got no data; [`ModelError::Write`].
    pub fn finish(mut self) -> Result<W, ModelError> {
        match self.pending.next() {
            Some(tensor) => Err(ModelError::GgufWrite {
                tensor: tensor.name,
                reason: "declared, but got no data".to_owned(),
            }),
            None => {
                self.sink.flush().map_err(ModelError::Write)?;
                Ok(self.sink)
            }
        }
    }
}

fn tensor_bytes(dtype: WeightDtype, shape: &[usize]) -> Option<usize> {
    let (&cols, leading) = shape.split_last()?;
    if leading.len() >= MAX_RANK || shape.contains(&0) {
        return None;
    }
    leading.iter().try_fold(dtype.row_bytes(cols)?, |bytes, &dim| bytes.checked_mul(dim))
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
}
