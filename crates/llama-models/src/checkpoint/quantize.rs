//! A dense checkpoint with its matrices quantised in memory, before a model is made of it.
//!
//! Invariant: the same bytes as in a file written with the same [`Quantization`], whatever the number of threads.

use llama_backend::{parallel::Pool, weight::WeightDtype};

use super::{Quantization, TensorDtype, TensorSummary};
use crate::{Checkpoint, ModelError, config::ModelConfig};

/// How many tensors are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorProgress {
    /// Tensors that are done.
    pub num_done: usize,
    /// All that there are to do.
    pub num_tensors: usize,
}

impl<C: ModelConfig> Checkpoint<C> {
    /// Reads every matrix and keeps it quantised, in memory of this process. Vectors, and tensors in formats that the
    /// decoder does not know, stay as they are. Takes all threads of the global pool, one tensor after another.
    ///
    /// # Errors
    /// [`ModelError::AlreadyQuantized`], before anything is read; [`ModelError::Backend`] for a value that has no place
    /// in the format.
    pub fn quantized(
        self,
        quantization: Quantization,
        on_tensor: &dyn Fn(TensorProgress),
    ) -> Result<Self, ModelError> {
        let plan = self.quantization_plan(quantization)?;
        self.converted(plan, on_tensor)
    }

    /// As [`Checkpoint::quantized`], for a model that only drafts: matrices in Q8_0 are rounded once more, and what is
    /// smaller already stays as it is.
    ///
    /// # Errors
    /// [`ModelError::Backend`], as above.
    pub fn quantized_for_drafts(
        self,
        quantization: Quantization,
        on_tensor: &dyn Fn(TensorProgress),
    ) -> Result<Self, ModelError> {
        let mut plan = Vec::new();
        for tensor in self.tensors() {
            if let (TensorDtype::Supported(dtype), [_, cols]) = (&tensor.dtype, &*tensor.shape) {
                let wanted = self.config().dtype_in(quantization, (&tensor.name, *cols));
                let is_smaller = wanted.row_bytes(*cols) < dtype.row_bytes(*cols);
                let is_large = !dtype.is_quantized() || *dtype == WeightDtype::Q8_0;
                plan.extend((is_smaller && is_large).then(|| (tensor.name.to_string(), wanted)));
            }
        }
        self.converted(plan, on_tensor)
    }

    fn converted(
        mut self,
        plan: Vec<(String, WeightDtype)>,
        on_tensor: &dyn Fn(TensorProgress),
    ) -> Result<Self, ModelError> {
        let num_tensors = plan.len();
        for (tensor_idx, (name, dtype)) in plan.into_iter().enumerate() {
            if let Some(mapped) = self.tensors.mapped(&self.path, &name)? {
                let converted = mapped.converted(dtype, Pool::global())?;
                self.tensors.replace(converted);
            }
            on_tensor(TensorProgress { num_done: tensor_idx + 1, num_tensors });
        }
        Ok(self)
    }

    /// The matrices to convert, in file order, and what to.
    fn quantization_plan(
        &self,
        quantization: Quantization,
    ) -> Result<Vec<(String, WeightDtype)>, ModelError> {
        let mut plan = Vec::new();
        for tensor in self.tensors() {
            let dtype = self.quantized_dtype(quantization, tensor)?;
            if dtype.is_some_and(|dtype| tensor.dtype != TensorDtype::Supported(dtype)) {
                plan.extend(dtype.map(|dtype| (tensor.name.to_string(), dtype)));
            }
        }
        Ok(plan)
    }

    /// The format that a tensor gets; `None` leaves it as it is.
    pub(super) fn quantized_dtype(
        &self,
        quantization: Quantization,
        tensor: &TensorSummary,
    ) -> Result<Option<WeightDtype>, ModelError> {
        let (TensorDtype::Supported(dtype), [_, cols]) = (&tensor.dtype, &*tensor.shape) else {
            return Ok(None);
        };
        if dtype.is_quantized() {
            return Err(ModelError::AlreadyQuantized {
                path: self.path().to_owned(),
                tensor: tensor.name.to_string(),
                found: *dtype,
            });
        }
        Ok(Some(self.config().dtype_in(quantization, (&tensor.name, *cols))))
    }
}
