//! Shapes and formats that several properties share.

use candle_core::Tensor;
use llama_backend::weight::WeightDtype;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{fill::Fill, subject::Subject};

/// Columns around the ones that an operation sees: its input is a view of a wider tensor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Margins {
    pub(super) before: usize,
    pub(super) after: usize,
}

impl Margins {
    /// None, or few.
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let margin = || prop_oneof![2 => Just(0), 1 => 1usize..9];
        (margin(), margin()).prop_map(|(before, after)| Self { before, after })
    }

    /// A view of `[rows, before + cols + after, inner]` on the device, and the values in it.
    ///
    /// # Shapes
    /// Results: `[rows, cols, inner]`
    pub(super) fn view(
        self,
        subject: &Subject,
        fill: (Fill, u32),
        (rows, cols, inner): (usize, usize, usize),
        dtype: candle_core::DType,
    ) -> candle_core::Result<(Tensor, Vec<f32>)> {
        let width = self.before + cols + self.after;
        let values = fill.0.values(rows * width * inner, fill.1, dtype);
        let seen = values.chunks(width * inner);
        let seen =
            seen.flat_map(|row| &row[self.before * inner..(self.before + cols) * inner]).copied().collect();
        let whole = subject.tensor(&values, &[rows, width, inner], dtype)?;
        Ok((whole.narrow(1, self.before, cols)?, seen)) // [rows, cols, inner]
    }
}

/// Any stored format, dense ones as often as all others together.
pub(super) fn any_weight_dtype() -> impl Strategy<Value = WeightName> {
    prop_oneof![dense_weight_dtype(), (0..WeightDtype::ALL.len()).prop_map(WeightName)]
}

/// A format that holds one value an element.
pub(super) fn dense_weight_dtype() -> impl Strategy<Value = WeightName> {
    (0..3usize).prop_map(WeightName)
}

/// A weight format as plain data: its index among all.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct WeightName(usize);

impl WeightName {
    pub(super) fn dtype(self) -> WeightDtype {
        WeightDtype::ALL[self.0]
    }

    /// `len` as a whole number of blocks, at least one.
    pub(super) fn whole(self, len: usize) -> usize {
        len.next_multiple_of(self.dtype().block_len())
    }
}

/// Few rows, one often.
pub(super) fn num_rows() -> impl Strategy<Value = usize> {
    prop_oneof![2 => Just(1usize), 2 => 2usize..9, 1 => 9usize..40]
}

/// Widths around those that tiles and vectors have.
pub(super) fn width() -> impl Strategy<Value = usize> {
    prop_oneof![2 => 1usize..40, 1 => 60usize..70, 1 => 120usize..136, 1 => 250usize..300]
}
