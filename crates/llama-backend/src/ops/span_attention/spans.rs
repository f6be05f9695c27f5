//! Which rows of a flat batch belong together.

use std::ops::Range;

use crate::BackendError;

/// Texts of a flat batch, one after another. None is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    /// Where each begins, and after the last, where it ends.
    bounds: Vec<usize>,
}

impl Spans {
    /// Spans of so many rows each.
    ///
    /// # Errors
    /// [`BackendError::Argument`] if one is empty.
    pub fn of_lens(lens: impl IntoIterator<Item = usize>) -> Result<Self, BackendError> {
        let mut bounds = vec![0];
        for (span_idx, len) in lens.into_iter().enumerate() {
            if len == 0 {
                let reason = format!("span {span_idx} is empty");
                return Err(BackendError::Argument { op: "span_attention", reason });
            }
            bounds.push(bounds[span_idx] + len);
        }
        Ok(Self { bounds })
    }

    /// Rows of all spans.
    pub fn num_rows(&self) -> usize {
        self.bounds.last().copied().unwrap_or(0)
    }

    /// The rows of each span.
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> {
        self.bounds.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The spans that have some of these rows.
    pub(super) fn touching(&self, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let first = self.bounds[1..].partition_point(|&end| end <= rows.start);
        self.iter().skip(first).take_while(move |span| span.start < rows.end)
    }
}
