//! Sixteen rows of a weight at a time, however many there are.

use std::{cell::RefCell, ops::Range};

use crate::{
    simd::{LANES, Simd, SixteenRows},
    weight::MappedTensor,
};

/// Which of sixteen rows are wanted. Near the end of a weight the sixteen reach back over rows before them.
#[derive(Clone, Copy)]
pub(super) struct Window {
    /// First row of the sixteen.
    pub(super) first_row: usize,
    /// Lanes that are wanted.
    skip: usize,
    pub(super) len: usize,
}

impl Window {
    /// The next rows of `rows`, at most sixteen, in a weight of `num_rows`.
    #[inline(always)]
    pub(super) fn new(rows: &Range<usize>, num_rows: usize) -> Self {
        let first_row = rows.start.min(num_rows.saturating_sub(LANES));
        let skip = rows.start - first_row;
        Self { first_row, skip, len: (LANES - skip).min(rows.len()) }
    }

    /// The wanted lanes, if sums go on, or zeros.
    #[inline(always)]
    pub(super) fn load<S: Simd>(self, simd: S, from: &[f32]) -> S::F32s {
        if let (LANES, Some(all)) = (self.len, from.first_chunk()) {
            return simd.load(all);
        }
        let mut lanes = [0.0; LANES];
        lanes[self.skip..self.skip + self.len].copy_from_slice(&from[..self.len]);
        simd.load(&lanes)
    }

    /// Writes the wanted lanes.
    #[inline(always)]
    pub(super) fn store<S: Simd>(self, simd: S, value: S::F32s, to: &mut [f32]) {
        if let (LANES, Some(all)) = (self.len, to.first_chunk_mut()) {
            return simd.store(value, all);
        }
        let mut lanes = [0.0; LANES];
        simd.store(value, &mut lanes);
        to[..self.len].copy_from_slice(&lanes[self.skip..self.skip + self.len]);
    }
}

thread_local! {
    /// A weight of fewer than sixteen rows, with rows of zeros after them.
    static PADDED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A weight of which sixteen rows can always be read.
pub(super) struct WindowedWeight<'a> {
    bytes: &'a [u8],
    row_bytes: usize,
    padded: Option<Vec<u8>>,
}

impl<'a> WindowedWeight<'a> {
    pub(super) fn new(weight: &'a MappedTensor) -> Self {
        let (bytes, row_bytes) = (weight.bytes(), weight.row_bytes());
        let padded = (weight.rows() < LANES).then(|| {
            let mut padded = PADDED.take();
            padded.clear();
            padded.extend_from_slice(bytes);
            padded.resize(LANES * row_bytes, 0);
            padded
        });
        Self { bytes, row_bytes, padded }
    }

    /// Bytes of up to sixteen rows from `row` on, before row `end`.
    #[inline(always)]
    pub(super) fn sixteen_from(&self, row: usize, end: usize) -> &[u8] {
        let row = row.min(end);
        &self.bytes[row * self.row_bytes..(row + LANES).min(end) * self.row_bytes]
    }

    #[inline(always)]
    pub(super) fn rows(&self, window: Window) -> SixteenRows<'_> {
        let start = window.first_row * self.row_bytes;
        let bytes = match &self.padded {
            Some(padded) => padded,
            None => &self.bytes[start..start + LANES * self.row_bytes],
        };
        SixteenRows::new(bytes, self.row_bytes)
    }
}

impl Drop for WindowedWeight<'_> {
    fn drop(&mut self) {
        if let Some(padded) = self.padded.take() {
            PADDED.set(padded);
        }
    }
}
