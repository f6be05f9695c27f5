//! Writing a checkpoint again with dense weights: to compare formats, or to round as a reference did.

use std::io::Write;

use half::{bf16, f16};
use llama_backend::weight::{WeightDtype, decode_row};

use super::GgufWriter;
use crate::{Checkpoint, ModelError, Vocabulary};

/// Dense formats, and ggml's numbers of files in them (`llama_ftype`).
const DENSE: [(WeightDtype, u32); 3] =
    [(WeightDtype::F32, 0), (WeightDtype::F16, 1), (WeightDtype::Bf16, 32)];

impl Checkpoint {
    /// Writes this GGUF checkpoint's model with matrices in `dtype`: f32, f16 or bf16. Metadata is copied; vectors
    /// (norms, biases) become f32; matrices are decoded, then rounded. Holds one tensor in memory at a time.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for another dtype, or a checkpoint that is no GGUF file and has no metadata to copy;
    /// [`ModelError::Write`] if the sink fails.
    pub fn write_dense<W: Write>(&self, dtype: WeightDtype, sink: W) -> Result<W, ModelError> {
        let unsupported = |field: &str, found: String, supported| ModelError::Unsupported {
            path: self.path().to_owned(),
            field: field.to_owned(),
            found,
            supported,
        };
        let Vocabulary::Gguf(metadata) = self.vocabulary() else {
            return Err(unsupported("format", format!("{:?}", self.format()), "Gguf"));
        };
        let Some((_, file_type)) = DENSE.into_iter().find(|(dense, _)| *dense == dtype) else {
            return Err(unsupported("dtype", dtype.to_string(), "F32, F16, BF16"));
        };
        let mut writer = GgufWriter::default();
        writer.copy_metadata(metadata);
        writer.set("general.file_type", file_type);
        let stored_as = |shape: &[usize]| if shape.len() > 1 { dtype } else { WeightDtype::F32 };
        for tensor in self.tensors() {
            writer.declare(&tensor.name, stored_as(&tensor.shape), &tensor.shape)?;
        }
        let mut body = writer.start(sink)?;
        for tensor in self.tensors() {
            let mapped = self.tensor(&tensor.name, &tensor.shape)?;
            let mut values = vec![0.0; mapped.rows() * mapped.cols()];
            decode_row(mapped.dtype(), mapped.bytes(), &mut values);
            body.append(&encode(&values, stored_as(mapped.shape())))?;
        }
        body.finish()
    }
}

/// Rounds to nearest even.
fn encode(values: &[f32], dtype: WeightDtype) -> Vec<u8> {
    match dtype {
        WeightDtype::F16 => values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect(),
        WeightDtype::Bf16 => values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}
