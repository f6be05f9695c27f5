//! Blocks of sixteen weight rows, unpacked once for all input rows.

use super::format::{Lanes, Sink};
use crate::simd::{ByteLanes, LANE_BYTES, LANES};

/// 32 weights of sixteen rows, as [`Lanes`] in memory. Starts a cache line, so that no vector lies in two.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct PanelBlock {
    pub(super) quants: [[u8; LANE_BYTES]; 8],
    pub(super) scales: [[f32; LANES]; 2],
    pub(super) minima: [f32; LANES],
}

impl PanelBlock {
    pub(super) const ZERO: Self =
        Self { quants: [[0; LANE_BYTES]; 8], scales: [[0.0; LANES]; 2], minima: [0.0; LANES] };
}

/// Writes blocks one after another.
pub(super) struct PanelSink<'a> {
    pub(super) blocks: &'a mut [PanelBlock],
    pub(super) len: usize,
}

impl<S: ByteLanes> Sink<S> for PanelSink<'_> {
    #[inline(always)]
    fn take(&mut self, simd: S, lanes: &Lanes<S>) {
        let block = &mut self.blocks[self.len];
        for i in 0..8 {
            simd.store_i32s(lanes.quants[i], &mut block.quants[i]);
        }
        simd.store(lanes.scales[0], &mut block.scales[0]);
        simd.store(lanes.scales[1], &mut block.scales[1]);
        simd.store(lanes.minima, &mut block.minima);
        self.len += 1;
    }
}
