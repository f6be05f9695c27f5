//! The CPU path: one copy per row.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result};

use crate::ops::rows::{Rows, contiguous_mut};

pub(super) struct KvWriteCpu<'a> {
    pub(super) slots: &'a [u32],
}

impl InplaceOp2 for KvWriteCpu<'_> {
    fn name(&self) -> &'static str {
        "kv_write"
    }

    fn cpu_fwd(
        &self,
        cache: &mut CpuStorage,
        cache_layout: &Layout,
        rows: &CpuStorage,
        rows_layout: &Layout,
    ) -> Result<()> {
        let (_t, g, d) = rows_layout.shape().dims3()?;
        let rows = Rows::new("kv_write", rows, rows_layout)?;
        let cache = contiguous_mut("kv_write", cache, cache_layout)?;
        for (i, &slot) in self.slots.iter().enumerate() {
            let to = &mut cache[slot as usize * g * d..(slot as usize + 1) * g * d];
            for (head_idx, to) in to.chunks_exact_mut(d).enumerate() {
                to.copy_from_slice(rows.row(i * g + head_idx));
            }
        }
        Ok(())
    }
}
