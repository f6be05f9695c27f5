//! The tensors of a checkpoint, in file order and by name.
//!
//! Invariant: names are unique; a tensor in a format that the decoder knows has its mapped bytes beside it, any
//! other is listed only. The table knows the names in the file, not the decoder's.

use std::{collections::HashMap, fmt, path::Path, sync::Arc};

use llama_backend::weight::{MappedTensor, WeightDtype};

use crate::{ModelError, error::excerpt};

/// Element format of a tensor in a file, whether the decoder computes with it or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TensorDtype {
    /// The decoder computes with it.
    Supported(WeightDtype),
    /// The file format's name of one that it does not compute with.
    Unsupported(Arc<str>),
}

impl fmt::Display for TensorDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Supported(dtype) => dtype.fmt(f),
            Self::Unsupported(name) => f.write_str(name),
        }
    }
}

/// What the header says about one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSummary {
    /// Name in the file.
    pub name: Arc<str>,
    /// Element format.
    pub dtype: TensorDtype,
    /// Dimensions, slowest first.
    pub shape: Vec<usize>,
    /// Length in the file.
    pub num_bytes: usize,
}

/// All tensors of one file or of all shards.
#[derive(Clone, Debug, Default)]
pub struct TensorTable {
    entries: Vec<Entry>,
    idx_by_name: HashMap<Arc<str>, usize>,
}

#[derive(Clone, Debug)]
struct Entry {
    summary: TensorSummary,
    mapped: Option<MappedTensor>,
}

impl TensorTable {
    /// Every tensor, in file order; shards in the order of their names.
    pub fn summaries(&self) -> impl ExactSizeIterator<Item = &TensorSummary> {
        self.entries.iter().map(|entry| &entry.summary)
    }

    /// What the header says about the tensor of this name in the file.
    pub fn summary(&self, name: &str) -> Option<&TensorSummary> {
        self.entry(name).map(|entry| &entry.summary)
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every tensor of a format that is known.
    pub(super) fn all_mapped(&self) -> impl Iterator<Item = &MappedTensor> {
        self.entries.iter().filter_map(|entry| entry.mapped.as_ref())
    }

    /// The mapped tensor of this name in the file; `None` if there is none.
    ///
    /// # Errors
    /// [`ModelError::UnsupportedDtype`]; `path` is for its message.
    pub fn mapped(&self, path: &Path, name: &str) -> Result<Option<&MappedTensor>, ModelError> {
        let Some(entry) = self.entry(name) else {
            return Ok(None);
        };
        match &entry.mapped {
            Some(mapped) => Ok(Some(mapped)),
            None => Err(ModelError::UnsupportedDtype {
                path: path.to_owned(),
                tensor: excerpt(name),
                found: entry.summary.dtype.to_string(),
                supported: WeightDtype::ALL.map(|dtype| dtype.to_string()).join(", "),
            }),
        }
    }

    /// Adds a tensor; `mapped` is absent for unsupported formats. `path` is the file, for messages.
    pub(crate) fn insert(
        &mut self,
        path: &Path,
        summary: TensorSummary,
        mapped: Option<MappedTensor>,
    ) -> Result<(), ModelError> {
        let name = summary.name.clone();
        if self.idx_by_name.contains_key(&name) {
            return Err(ModelError::DuplicateTensor { path: path.to_owned(), tensor: excerpt(&name) });
        }
        self.idx_by_name.insert(name, self.entries.len());
        self.entries.push(Entry { summary, mapped });
        Ok(())
    }

    /// Puts a tensor in the place of the one of its name, which there must be.
    pub(crate) fn replace(&mut self, mapped: MappedTensor) {
        let entry_idx = *self.idx_by_name.get(mapped.name()).expect("only what was taken out is put back");
        let entry = &mut self.entries[entry_idx];
        entry.summary.dtype = TensorDtype::Supported(mapped.dtype());
        entry.summary.num_bytes = mapped.bytes().len();
        entry.mapped = Some(mapped);
    }

    /// Appends the tensors of another shard, which lies at `path`.
    pub(crate) fn append(&mut self, path: &Path, shard: Self) -> Result<(), ModelError> {
        shard.entries.into_iter().try_for_each(|entry| self.insert(path, entry.summary, entry.mapped))
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.idx_by_name.get(name).map(|&entry_idx| &self.entries[entry_idx])
    }
}
