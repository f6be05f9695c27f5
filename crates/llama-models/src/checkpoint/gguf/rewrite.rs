//! Writing a checkpoint as a GGUF file with its matrices in other formats, dense or quantised.

use std::io::Write;

use llama_backend::{
    parallel::Pool,
    weight::{MappedTensor, WeightDtype},
};

use super::{
    GgufWriter,
    export::{Export, ROPE_FREQS, vector},
};
use crate::{
    Checkpoint, ModelError, Vocabulary,
    checkpoint::{Quantization, TensorProgress, TensorSummary},
};

/// Dense formats, and ggml's numbers of files in them (`llama_ftype`).
const DENSE: [(WeightDtype, u32); 3] =
    [(WeightDtype::F32, 0), (WeightDtype::F16, 1), (WeightDtype::Bf16, 32)];
/// ggml's number of its block layouts, which quantised files carry.
const QUANTIZATION_VERSION: u32 = 2;

/// One tensor that will be written: its name there, where it comes from, and its format there.
struct Planned {
    name: String,
    source: TensorSource,
    shape: Vec<usize>,
    dtype: WeightDtype,
}

enum TensorSource {
    /// The checkpoint's tensor of this name.
    Stored(String),
    /// One that the checkpoint does not have.
    Made(MappedTensor),
}

impl Checkpoint {
    /// Writes this checkpoint's model with matrices in `dtype`: f32, f16 or bf16. Vectors (norms, biases) become f32;
    /// matrices are decoded, then rounded. Holds one tensor in memory at a time.
    ///
    /// Metadata of a GGUF file is copied. For a checkpoint in Hugging Face form it is made of the configuration and of
    /// what [`Checkpoint::with_gguf_vocabulary`] gave; tensors that the decoder does not read are left out.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for another dtype, for what GGUF cannot say, and without a vocabulary;
    /// [`ModelError::Backend`] for a value that has no place in f16; [`ModelError::Write`] if the sink fails.
    pub fn write_dense<W: Write>(&self, dtype: WeightDtype, sink: W) -> Result<W, ModelError> {
        let mut writer = self.writer()?;
        let Some((_, file_type)) = DENSE.into_iter().find(|(dense, _)| *dense == dtype) else {
            return Err(self.unsupported("dtype", dtype.to_string(), "F32, F16, BF16"));
        };
        writer.set("general.file_type", file_type);
        let dtype_of =
            |tensor: &TensorSummary| Ok(if tensor.shape.len() > 1 { dtype } else { WeightDtype::F32 });
        self.rewrite(writer, self.plan(&dtype_of)?, (sink, &|_| {}))
    }

    /// Writes this dense checkpoint's model quantised, with the bytes that [`Checkpoint::quantized`] keeps in memory.
    /// Metadata and the rest are as in [`Checkpoint::write_dense`]; vectors are f32, which is what llama.cpp expects.
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
        let dtype_of = |tensor: &TensorSummary| {
            Ok(self.quantized_dtype(quantization, tensor)?.unwrap_or(WeightDtype::F32))
        };
        self.rewrite(writer, self.plan(&dtype_of)?, (sink, on_tensor))
    }

    /// A writer with this checkpoint's metadata.
    fn writer(&self) -> Result<GgufWriter, ModelError> {
        if let Vocabulary::Gguf(metadata) = self.vocabulary() {
            let mut writer = GgufWriter::default();
            writer.copy_metadata(metadata);
            return Ok(writer);
        }
        if self.gguf_vocabulary().is_empty() {
            let supported = "one given by with_gguf_vocabulary";
            return Err(self.unsupported("tokenizer", "none for GGUF".to_owned(), supported));
        }
        let mut writer = Export::of(self).writer()?;
        for (key, value) in self.gguf_vocabulary() {
            writer.set(key, value.clone());
        }
        Ok(writer)
    }

    /// What to write, in file order.
    fn plan(
        &self,
        dtype_of: &dyn Fn(&TensorSummary) -> Result<WeightDtype, ModelError>,
    ) -> Result<Vec<Planned>, ModelError> {
        let export = self.is_exported().then(|| Export::of(self));
        let mut plan = Vec::new();
        for tensor in self.tensors() {
            let name = match &export {
                Some(export) => export.name(&tensor.name),
                None => Some((&*tensor.name).into()),
            };
            if let Some(name) = name {
                let source = TensorSource::Stored(tensor.name.to_string());
                let (shape, dtype) = (tensor.shape.clone(), dtype_of(tensor)?);
                plan.push(Planned { name: name.into_owned(), source, shape, dtype });
            }
        }
        if let Some(factors) = export.and_then(|export| export.rope_factors()) {
            let shape = vec![factors.len()];
            let source = TensorSource::Made(vector(ROPE_FREQS, &factors)?);
            plan.push(Planned { name: ROPE_FREQS.to_owned(), source, shape, dtype: WeightDtype::F32 });
        }
        Ok(plan)
    }

    fn is_exported(&self) -> bool {
        matches!(self.vocabulary(), Vocabulary::HuggingFace { .. })
    }

    fn rewrite<W: Write>(
        &self,
        mut writer: GgufWriter,
        plan: Vec<Planned>,
        (sink, on_tensor): (W, &dyn Fn(TensorProgress)),
    ) -> Result<W, ModelError> {
        for Planned { name, shape, dtype, .. } in &plan {
            writer.declare(name, *dtype, shape)?;
        }
        let mut body = writer.start(sink)?;
        let num_tensors = plan.len();
        for (tensor_idx, Planned { source, shape, dtype, .. }) in plan.into_iter().enumerate() {
            let tensor = match source {
                TensorSource::Stored(name) if self.is_exported() => {
                    Export::of(self).arranged(self.tensor(&name, &shape)?)?
                }
                TensorSource::Stored(name) => self.tensor(&name, &shape)?,
                TensorSource::Made(tensor) => tensor,
            };
            body.append(tensor.converted(dtype, Pool::global())?.bytes())?;
            on_tensor(TensorProgress { num_done: tensor_idx + 1, num_tensors });
        }
        body.finish()
    }

    pub(super) fn unsupported(&self, field: &str, found: String, supported: &'static str) -> ModelError {
        ModelError::Unsupported { path: self.path().to_owned(), field: field.to_owned(), found, supported }
    }
}
