//! How many bytes the weights take, by format and by layer: what `inspect` prints before anything is loaded.

use super::{
    names::layer_idx,
    table::{TensorDtype, TensorTable},
};

/// Bytes of all tensors in a checkpoint, whether the decoder uses them or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// By format, in the order in which the file has them first.
    pub per_dtype: Vec<DtypeUsage>,
    /// By layer; as many entries as the configuration has layers.
    pub layer_bytes: Vec<u64>,
    /// Embedding, head, last norm, and whatever else belongs to no layer.
    pub other_bytes: u64,
}

/// The share of one format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DtypeUsage {
    /// The format.
    pub dtype: TensorDtype,
    /// How many tensors have it.
    pub num_tensors: usize,
    /// Their bytes.
    pub num_bytes: u64,
}

impl MemoryPlan {
    /// Adds up the tensors of a checkpoint with that many layers.
    pub(super) fn new(tensors: &TensorTable, num_hidden_layers: usize) -> Self {
        let mut plan =
            Self { per_dtype: Vec::new(), layer_bytes: vec![0; num_hidden_layers], other_bytes: 0 };
        for tensor in tensors.summaries() {
            let num_bytes = tensor.num_bytes as u64;
            *plan.layer(&tensor.name) += num_bytes;
            let usage = plan.usage(&tensor.dtype);
            usage.num_tensors += 1;
            usage.num_bytes += num_bytes;
        }
        plan
    }

    /// Bytes of everything.
    pub fn total_bytes(&self) -> u64 {
        self.layer_bytes.iter().sum::<u64>() + self.other_bytes
    }

    fn layer(&mut self, name: &str) -> &mut u64 {
        layer_idx(name)
            .and_then(|layer_idx| self.layer_bytes.get_mut(layer_idx))
            .unwrap_or(&mut self.other_bytes)
    }

    fn usage(&mut self, dtype: &TensorDtype) -> &mut DtypeUsage {
        let usage_idx = match self.per_dtype.iter().position(|usage| usage.dtype == *dtype) {
            Some(usage_idx) => usage_idx,
            None => {
                self.per_dtype.push(DtypeUsage { dtype: dtype.clone(), num_tensors: 0, num_bytes: 0 });
                self.per_dtype.len() - 1
            }
        };
        &mut self.per_dtype[usage_idx]
    }
}
