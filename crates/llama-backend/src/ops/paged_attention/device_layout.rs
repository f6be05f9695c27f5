//! A [`PagedLayout`] as the kernels of a GPU read it.

#![cfg_attr(
    not(any(feature = "metal", feature = "cuda")),
    allow(dead_code, reason = "only GPU kernels read it")
)]

use candle_core::{Device, Tensor};

use super::PagedLayout;
use crate::BackendError;

/// Integers of a step on the device, uploaded once and shared by all layers.
#[derive(Clone, Debug)]
pub(super) struct DeviceLayout {
    /// `[t, 2]`: index of each row's span, and the row's position in its sequence.
    pub(super) rows: Tensor,
    /// `[n, 4]`: a span's first row, number of rows, first position, and where its block table begins in `blocks`.
    pub(super) spans: Tensor,
    /// All block tables, one after another.
    pub(super) blocks: Tensor,
    /// Positions of the longest sequence.
    pub(super) longest: usize,
}

impl PagedLayout {
    /// This layout on `device`.
    ///
    /// # Errors
    /// Candle's, if the device has no memory.
    pub(super) fn on(&self, device: &Device) -> Result<DeviceLayout, BackendError> {
        self.on_device.or_make(device, || self.upload(device))
    }

    fn upload(&self, device: &Device) -> Result<DeviceLayout, BackendError> {
        let (mut rows, mut spans, mut blocks, mut longest) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (span_idx, span) in self.spans().iter().enumerate() {
            let len = span.rows.len();
            rows.extend((0..len).flat_map(|i| [span_idx as u32, (span.first_position + i) as u32]));
            spans.extend([span.rows.start, len, span.first_position, blocks.len()].map(|x| x as u32));
            blocks.extend_from_slice(&span.blocks);
            longest = longest.max(span.first_position + len);
        }
        let (t, n, num_blocks) = (self.num_rows(), self.spans().len(), blocks.len());
        Ok(DeviceLayout {
            rows: Tensor::from_vec(rows, (t, 2), device)?,
            spans: Tensor::from_vec(spans, (n, 4), device)?,
            blocks: Tensor::from_vec(blocks, num_blocks, device)?,
            longest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::PagedSpan, *};

    #[test]
    fn rows_find_their_blocks() {
        let span = |rows, first_position, blocks: &[u32]| PagedSpan {
            rows,
            first_position,
            blocks: blocks.to_vec(),
        };
        let layout = PagedLayout::new(vec![span(0..1, 5, &[7, 3]), span(1..4, 2, &[0, 9])], 4).unwrap();
        let DeviceLayout { rows, spans, blocks, longest } = layout.on(&Device::Cpu).unwrap();
        assert_eq!(rows.to_vec2::<u32>().unwrap(), [[0, 5], [1, 2], [1, 3], [1, 4]]);
        assert_eq!(spans.to_vec2::<u32>().unwrap(), [[0, 1, 5, 0], [1, 3, 2, 2]]);
        assert_eq!((blocks.to_vec1::<u32>().unwrap(), longest), (vec![7, 3, 0, 9], 6));
    }
}
