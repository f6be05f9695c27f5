//! Where the rows of a flat batch stand in their sequences, and which blocks hold those sequences.

use std::ops::Range;

use super::device_layout::DeviceLayout;
use crate::{
    BackendError,
    ops::{kv_write::Slots, on_device::OnDevice},
};

/// Rows of one sequence in a flat batch.
///
/// # Shapes
/// `blocks` holds the block indices of positions `0..p`, `p..2p` and so on, at least up to the last new row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagedSpan {
    /// Rows of the batch.
    pub rows: Range<usize>,
    /// Position of the first of them in its sequence.
    pub first_position: usize,
    /// The sequence's block table.
    pub blocks: Vec<u32>,
}

/// All spans of a flat batch. Invariant: they cover the rows in order without gaps, and each table is long enough.
#[derive(Clone, Debug)]
pub struct PagedLayout {
    spans: Vec<PagedSpan>,
    block_len: usize,
    num_rows: usize,
    pub(super) on_device: OnDevice<DeviceLayout>,
}

impl PagedLayout {
    /// Checks the spans against each other.
    ///
    /// # Errors
    /// [`BackendError::Argument`] if they leave gaps, are empty, or a block table is too short.
    pub fn new(spans: Vec<PagedSpan>, block_len: usize) -> Result<Self, BackendError> {
        let wrong = |reason| BackendError::Argument { op: "paged_attention", reason };
        if block_len == 0 {
            return Err(wrong("a block of no tokens".to_owned()));
        }
        let mut num_rows = 0;
        for span in &spans {
            if span.rows.start != num_rows || span.rows.is_empty() {
                return Err(wrong(format!("span of rows {:?} after row {num_rows}", span.rows)));
            }
            let len = span.first_position + span.rows.len();
            if len > span.blocks.len() * block_len {
                return Err(wrong(format!("{len} positions in {} blocks of {block_len}", span.blocks.len())));
            }
            num_rows = span.rows.end;
        }
        Ok(Self { spans, block_len, num_rows, on_device: OnDevice::default() })
    }

    /// The spans, in row order.
    pub fn spans(&self) -> &[PagedSpan] {
        &self.spans
    }

    /// Tokens per block.
    pub fn block_len(&self) -> usize {
        self.block_len
    }

    /// Rows of all spans.
    pub fn num_rows(&self) -> usize {
        self.num_rows
    }

    /// Position of each row in its sequence.
    pub fn positions(&self) -> Vec<u32> {
        let positions = |span: &PagedSpan| span.first_position..span.first_position + span.rows.len();
        self.spans.iter().flat_map(positions).map(|position| position as u32).collect()
    }

    /// Slot of the cache that each row is written to.
    pub fn slots(&self) -> Slots {
        let slots = self.spans.iter().flat_map(|span| {
            let positions = span.first_position..span.first_position + span.rows.len();
            positions.map(|position| self.slot(span, position) as u32)
        });
        Slots::new(slots.collect())
    }

    /// Slot of the cache that holds `position` of the span's sequence.
    #[inline(always)]
    pub fn slot(&self, span: &PagedSpan, position: usize) -> usize {
        span.blocks[position / self.block_len] as usize * self.block_len + position % self.block_len
    }

    /// Checks that every block lies in a cache of `num_slots`.
    pub(super) fn check_blocks(&self, num_slots: usize) -> Result<(), BackendError> {
        let num_blocks = num_slots / self.block_len;
        let mut blocks = self.spans.iter().flat_map(|span| &span.blocks);
        match blocks.find(|&&block| block as usize >= num_blocks) {
            Some(block) => Err(BackendError::Argument {
                op: "paged_attention",
                reason: format!("block {block} in a cache of {num_blocks}"),
            }),
            None => Ok(()),
        }
    }
}
