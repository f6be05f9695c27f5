//! The tensor descriptions of a GGUF header, and where in the file they put the tensors.

use std::{path::Path, sync::Arc};

use llama_backend::weight::{ByteOwner, MappedTensor};

use super::{cursor::Cursor, ggml_type::GgmlType};
use crate::{
    ModelError,
    checkpoint::table::{TensorDtype, TensorSummary, TensorTable},
    error::excerpt,
};

/// A name of length 0, a rank, one dimension, a type, an offset.
pub(super) const MIN_INFO_BYTES: usize = 8 + 4 + 8 + 4 + 8;
const MAX_RANK: u32 = 4;
const MAX_NAME_BYTES: u64 = 1024;

/// One description; `offset` counts from the start of the data.
pub(super) struct TensorInfo<'a> {
    name: &'a str,
    ggml_type: &'static GgmlType,
    /// Slowest first.
    shape: Vec<u64>,
    offset: u64,
    num_bytes: u64,
}

/// Reads `num_tensors` descriptions.
pub(super) fn read_infos<'a>(
    cursor: &mut Cursor<'a>,
    num_tensors: usize,
    path: &Path,
) -> Result<Vec<TensorInfo<'a>>, ModelError> {
    (0..num_tensors).map(|_| read_info(cursor, path)).collect()
}

fn read_info<'a>(cursor: &mut Cursor<'a>, path: &Path) -> Result<TensorInfo<'a>, ModelError> {
    let name = cursor.name("a tensor name", MAX_NAME_BYTES)?;
    let rank = cursor.u32("a tensor's rank")?;
    if !(1..=MAX_RANK).contains(&rank) {
        return Err(ModelError::TensorShape {
            path: path.to_owned(),
            tensor: excerpt(name),
            shape: vec![],
            reason: if rank == 0 { "no dimensions" } else { "more than 4 dimensions" },
        });
    }
    let mut shape =
        (0..rank).map(|_| cursor.u64("a tensor's dimensions")).collect::<Result<Vec<u64>, _>>()?;
    shape.reverse(); // the file has the fastest dimension first
    let type_id = cursor.u32("a tensor's type")?;
    let ggml_type = GgmlType::from_id(type_id).ok_or_else(|| ModelError::UnknownGgmlType {
        path: path.to_owned(),
        tensor: excerpt(name),
        found: type_id,
    })?;
    let offset = cursor.u64("a tensor's offset")?;
    let num_bytes = num_bytes(ggml_type, &shape).map_err(|reason| ModelError::TensorShape {
        path: path.to_owned(),
        tensor: excerpt(name),
        shape: shape.clone(),
        reason,
    })?;
    Ok(TensorInfo { name, ggml_type, shape, offset, num_bytes })
}

fn num_bytes(ggml_type: &GgmlType, shape: &[u64]) -> Result<u64, &'static str> {
    if shape.contains(&0) {
        return Err("a dimension is zero");
    }
    let row_len = shape.last().copied().unwrap_or(1);
    if !row_len.is_multiple_of(ggml_type.block_len) {
        return Err("a row is no whole number of blocks");
    }
    let row_blocks = row_len / ggml_type.block_len;
    let leading = shape.iter().rev().skip(1);
    leading
        .chain([&ggml_type.block_bytes])
        .try_fold(row_blocks, |product, &dim| product.checked_mul(dim))
        .ok_or("too many elements")
}

/// Checks every place and puts the tensors into a table, in the order of their offsets.
pub(super) fn place(
    path: &Path,
    owner: ByteOwner,
    header_bytes: usize,
    alignment: u64,
    mut infos: Vec<TensorInfo<'_>>,
) -> Result<TensorTable, ModelError> {
    let file_bytes = (*owner).as_ref().len() as u64;
    let data_start = (header_bytes as u64).next_multiple_of(alignment); // both far below 2^63
    let available = file_bytes.saturating_sub(data_start);
    infos.sort_by_key(|info| info.offset);
    let mut table = TensorTable::default();
    let mut previous: Option<&TensorInfo<'_>> = None;
    for info in &infos {
        let wrong_range = |reason| ModelError::TensorRange {
            path: path.to_owned(),
            tensor: excerpt(info.name),
            reason,
            offset: info.offset,
            bytes: info.num_bytes,
            available,
        };
        if !info.offset.is_multiple_of(alignment) {
            return Err(wrong_range("is not aligned"));
        }
        if info.offset.checked_add(info.num_bytes).is_none_or(|end| end > available) {
            return Err(wrong_range("lies outside the file"));
        }
        if let Some(other) = previous.filter(|other| other.offset + other.num_bytes > info.offset) {
            return Err(ModelError::TensorOverlap {
                path: path.to_owned(),
                tensor: excerpt(info.name),
                other: excerpt(other.name),
            });
        }
        let start = (data_start + info.offset) as usize; // inside the file
        let (summary, mapped) = info.map(&owner, start)?;
        table.insert(path, summary, mapped)?;
        previous = Some(info);
    }
    Ok(table)
}

impl TensorInfo<'_> {
    /// The table's entry of a tensor whose bytes start at `start` and lie inside the file.
    fn map(
        &self,
        owner: &ByteOwner,
        start: usize,
    ) -> Result<(TensorSummary, Option<MappedTensor>), ModelError> {
        let summary = TensorSummary {
            name: Arc::from(self.name),
            dtype: self.ggml_type.dtype(),
            // No dimension is larger than the tensor, which fits into the file.
            shape: self.shape.iter().map(|&dim| dim as usize).collect(),
            num_bytes: self.num_bytes as usize,
        };
        let mapped = match summary.dtype {
            TensorDtype::Supported(dtype) => {
                let range = start..start + summary.num_bytes;
                Some(MappedTensor::new(self.name, dtype, &summary.shape, owner.clone(), range)?)
            }
            TensorDtype::Unsupported(_) => None,
        };
        Ok((summary, mapped))
    }
}
