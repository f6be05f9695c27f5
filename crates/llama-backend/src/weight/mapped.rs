//! A tensor that still lies in its file: name, format, shape and a range of shared bytes.
//!
//! Invariant: the byte range is inside the owner and is exactly as long as shape and format say; so whoever
//! holds a [`MappedTensor`] reads rows without further checks. It does not know what file it came from.

use std::{fmt, ops::Range, sync::Arc};

use super::WeightDtype;
use crate::BackendError;

/// Whatever keeps the bytes alive: a memory map, or a buffer.
pub type ByteOwner = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// One tensor of a checkpoint, unread until someone asks for a row. Cloning is cheap.
///
/// # Shapes
/// `[cols]` or `[rows, cols]`; higher ranks count their leading dimensions as rows.
#[derive(Clone)]
pub struct MappedTensor {
    name: Arc<str>,
    dtype: WeightDtype,
    shape: Vec<usize>,
    owner: ByteOwner,
    range: Range<usize>,
}

impl MappedTensor {
    /// Checks that `range` of `owner` holds a tensor of this shape and format.
    ///
    /// # Errors
    /// [`BackendError::WeightShape`] if the range, the shape and the format do not fit together.
    pub fn new(
        name: &str,
        dtype: WeightDtype,
        shape: &[usize],
        owner: ByteOwner,
        range: Range<usize>,
    ) -> Result<Self, BackendError> {
        let wrong = |reason: String| BackendError::WeightShape { name: name.to_owned(), reason };
        let bytes = tensor_bytes(dtype, shape)
            .ok_or_else(|| wrong(format!("no whole number of {dtype} blocks in shape {shape:?}")))?;
        let available = (*owner).as_ref().len();
        if range.start > range.end || range.end > available {
            return Err(wrong(format!("bytes {range:?} are outside the file of {available} bytes")));
        }
        if range.len() != bytes {
            return Err(wrong(format!(
                "shape {shape:?} in {dtype} takes {bytes} bytes, the file has {}",
                range.len()
            )));
        }
        Ok(Self { name: name.into(), dtype, shape: shape.to_vec(), owner, range })
    }

    /// Name in the checkpoint.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Element format.
    pub fn dtype(&self) -> WeightDtype {
        self.dtype
    }

    /// Dimensions, slowest first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Product of all dimensions but the last.
    pub fn rows(&self) -> usize {
        self.shape.iter().rev().skip(1).product()
    }

    /// The last dimension.
    pub fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// All bytes, as they lie in the file (no alignment is promised).
    pub fn bytes(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.range.clone()]
    }

    /// What keeps the bytes alive.
    #[cfg(feature = "metal")]
    pub(crate) fn owner(&self) -> &ByteOwner {
        &self.owner
    }

    /// Where they are in the owner's.
    #[cfg(feature = "metal")]
    pub(crate) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.dtype.row_bytes(self.cols()).expect("checked by MappedTensor::new")
    }

    /// Bytes of row `row_idx`.
    pub fn row(&self, row_idx: usize) -> &[u8] {
        let len = self.row_bytes();
        &self.bytes()[row_idx * len..(row_idx + 1) * len]
    }
}

impl fmt::Debug for MappedTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.name, self.dtype, self.shape)
    }
}

fn tensor_bytes(dtype: WeightDtype, shape: &[usize]) -> Option<usize> {
    let (cols, leading) = match shape.split_last() {
        Some((cols, leading)) => (*cols, leading),
        None => (1, &[][..]),
    };
    leading.iter().try_fold(dtype.row_bytes(cols)?, |bytes, &dim| bytes.checked_mul(dim))
}
