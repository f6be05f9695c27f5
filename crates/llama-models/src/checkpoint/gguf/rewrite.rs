//! Writing a GGUF checkpoint again with its matrices in other formats, dense or quantised.

use std::io::Write;

use llama_backend::{
    parallel::Pool,
    weight::{MappedTensor, WeightDtype},
};

use super::GgufWriter;
use crate::{
    Checkpoint, ModelError, Vocabulary,
    checkpoint::{Quantization, TensorProgress},
};

/// Dense formats, and ggml's numbers of files in them (`llama_ftype`).
const DENSE: [(WeightDtype, u32); 3] =
    [(WeightDtype::F32, 0), (WeightDtype::F16, 1), (WeightDtype::Bf16, 32)];
/// ggml's number of its block layouts, which quantised files carry.
const QUANTIZATION_VERSION: u32 = 2;

impl Checkpoint {
    /// Writes this GGUF checkpoint's model with matrices in `dtype`: f32, f16 or bf16. Metadata is copied; vectors
    /// (norms, biases) become f32; matrices are decoded, then rounded. Holds one tensor in memory at a time.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for another dtype, or a checkpoint that is no GGUF file and has no metadata to copy;
    /// [`ModelError::Backend`] for a value that has no place in f16; [`ModelError::Write`] if the sink fails.
    pub fn write_dense<W: Write>(&self, dtype: WeightDtype, sink: W) -> Result<W, ModelError> {
        let mut writer = self.writer()?;
        let Some((_, file_type)) = DENSE.into_iter().find(|(dense, _)| *dense == dtype) else {
            return Err(self.unsupported("dtype", dtype.to_string(), "F32, F16, BF16"));
        };
        writer.set("general.file_type", file_type);
        let tensors = self.tensors();
        let dtypes = tensors.map(|tensor| if tensor.shape.len() > 1 { dtype } else { WeightDtype::F32 });
        self.rewrite(writer, &dtypes.collect::<Vec<_>>(), (sink, &|_| {}))
    }

    /// Writes this dense GGUF checkpoint's model quantised, with the bytes that [`Checkpoint::quantized`] keeps in memory.
    /// Metadata is copied; vectors become f32, which is what llama.cpp expects. Holds one tensor in memory at a time.
    ///
    /// # Errors
    /// [`ModelError::AlreadyQuantized`]; otherwise as [`Checkpoint::write_dense`].
    pub fn write_quantized<W: Write>(
        &self,
        quantization: Quantization,
        sink: W,
        on_tensor: &dyn Fn(TensorProgress),
    ) -> Result<W, ModelError> {
        let mut writer = self.writer()?;
        writer.set("general.file_type", quantization.file_type());
        writer.set("general.quantization_version", QUANTIZATION_VERSION);
        let dtypes = self
            .tensors()
            .map(|tensor| Ok(self.quantized_dtype(quantization, tensor)?.unwrap_or(WeightDtype::F32)));
        self.rewrite(writer, &dtypes.collect::<Result<Vec<_>, ModelError>>()?, (sink, on_tensor))
    }

    /// A writer with this file's metadata.
    fn writer(&self) -> Result<GgufWriter, ModelError> {
        let Vocabulary::Gguf(metadata) = self.vocabulary() else {
            let found = format!("{:?}", self.format());
            return Err(self.unsupported("format", found, "Gguf, whose metadata is copied"));
        };
        let mut writer = GgufWriter::default();
        writer.copy_metadata(metadata);
        Ok(writer)
    }

    /// Writes all tensors, in file order, each in its format of `dtypes`.
    fn rewrite<W: Write>(
        &self,
        mut writer: GgufWriter,
        dtypes: &[WeightDtype],
        (sink, on_tensor): (W, &dyn Fn(TensorProgress)),
    ) -> Result<W, ModelError> {
        for (tensor, dtype) in self.tensors().zip(dtypes) {
            writer.declare(&tensor.name, *dtype, &tensor.shape)?;
        }
        let mut body = writer.start(sink)?;
        for (tensor_idx, (tensor, dtype)) in self.tensors().zip(dtypes).enumerate() {
            let mapped: MappedTensor = self.tensor(&tensor.name, &tensor.shape)?;
            body.append(mapped.converted(*dtype, Pool::global())?.bytes())?;
            on_tensor(TensorProgress { num_done: tensor_idx + 1, num_tensors: dtypes.len() });
        }
        body.finish()
    }

    fn unsupported(&self, field: &str, found: String, supported: &'static str) -> ModelError {
        ModelError::Unsupported { path: self.path().to_owned(), field: field.to_owned(), found, supported }
    }
}
