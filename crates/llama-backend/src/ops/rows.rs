//! Candle storage seen as rows of f32, so that kernels read strided views without a copy.

use candle_core::{CpuStorage, Layout, Result, bail};

/// Rows of a tensor of rank 1 to 3 whose last dimension is contiguous.
///
/// # Shapes
/// `[width]`, `[rows, width]` or `[outer, inner, width]` with any strides but the last.
pub(crate) struct Rows<'a> {
    values: &'a [f32],
    start: usize,
    outer: (usize, usize),
    inner: (usize, usize),
    width: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(op: &str, storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let values: &[f32] = storage.as_slice()?;
        let (outer, inner, width, last_stride) = match (layout.dims(), layout.stride()) {
            (&[d0], &[s0]) => ((1, 0), (1, 0), d0, s0),
            (&[d0, d1], &[s0, s1]) => ((1, 0), (d0, s0), d1, s1),
            (&[d0, d1, d2], &[s0, s1, s2]) => ((d0, s0), (d1, s1), d2, s2),
            _ => bail!("{op}: rank {} is not supported", layout.dims().len()),
        };
        if last_stride != 1 && width > 1 {
            bail!("{op}: the last dimension must be contiguous, layout is {layout:?}");
        }
        let start = layout.start_offset();
        Ok(Self { values, start, outer, inner, width })
    }

    pub(crate) fn len(&self) -> usize {
        self.outer.0 * self.inner.0
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    pub(crate) fn row(&self, row_idx: usize) -> &'a [f32] {
        let (outer, inner) = (row_idx / self.inner.0, row_idx % self.inner.0);
        let at = self.start + outer * self.outer.1 + inner * self.inner.1;
        &self.values[at..at + self.width]
    }

    /// The rows as one slice, if they lie one after another.
    pub(crate) fn contiguous(&self) -> Option<&'a [f32]> {
        let rows_follow = self.inner.0 <= 1 || self.inner.1 == self.width;
        let outer_follow = self.outer.0 <= 1 || self.outer.1 == self.inner.0 * self.width;
        let len = self.len() * self.width;
        (rows_follow && outer_follow).then(|| &self.values[self.start..self.start + len])
    }
}

/// The values of a contiguous f32 tensor that an in-place operation may change.
pub(crate) fn contiguous_mut<'a>(
    op: &str,
    storage: &'a mut CpuStorage,
    layout: &Layout,
) -> Result<&'a mut [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("{op}: the destination must be contiguous, layout is {layout:?}");
    };
    match storage {
        CpuStorage::F32(values) => Ok(&mut values[start..end]),
        _ => bail!("{op}: the destination must be f32"),
    }
}
