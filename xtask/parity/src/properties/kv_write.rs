//! Rows written to scattered slots; everything else must stay as it was.

use candle_core::DType;
use llama_backend::ops::{
    Kernels, Op,
    kv_write::{Slots, kv_write},
};
use proptest::{prelude::*, strategy::BoxedStrategy};
use serde::{Deserialize, Serialize};

use super::{
    Problem,
    shapes::{Margins, num_rows},
};
use crate::{
    fill::{Fill, permutation},
    measure::Comparison,
    subject::{Subject, cpu_tensor, read},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KvWrite {
    t: usize,
    spare_slots: usize,
    heads: usize,
    head_dim: usize,
    order: u32,
    margins: Margins,
    rows: Fill,
}

impl Problem for KvWrite {
    const NAME: &'static str = "kv_write";
    const OP: Option<Op> = Some(Op::KvWrite);
    const TOLERANCE: &'static str = "0: copies are exact";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        let head_dim = prop_oneof![1usize..9, Just(32usize), Just(64), Just(80), Just(128), Just(256)];
        let case = (num_rows(), 0usize..30, 1usize..5, head_dim, 0u32..1 << 16, Margins::any(), Fill::any());
        case.prop_map(|(t, spare_slots, heads, head_dim, order, margins, rows)| Self {
            t,
            spare_slots,
            heads,
            head_dim,
            order,
            margins,
            rows,
        })
        .boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let num_slots = self.t + self.spare_slots;
        let shape = (self.t, self.heads, self.head_dim);
        let (rows, values) = self.margins.view(subject, (self.rows, 1), shape, dtype)?;
        let cache_shape = [num_slots, self.heads, self.head_dim];
        let before =
            Fill { seed: self.rows.seed, ..Fill::UNIT }.values(cache_shape.iter().product(), 2, dtype);
        let slots = Slots::new(permutation(num_slots, self.order)[..self.t].to_vec());
        let cache = subject.tensor(&before, &cache_shape, dtype)?;
        subject.watch(|| kv_write(&cache, &rows, &slots, Kernels::Native))?;
        let reference = cpu_tensor(&before, &cache_shape)?;
        kv_write(
            &reference,
            &cpu_tensor(&values, &[shape.0, shape.1, shape.2])?,
            &slots,
            Kernels::Reference,
        )?;
        let (expected, found) = (read(&reference)?, read(&cache)?);
        Ok(Comparison { bounds: vec![0.0; expected.len()], expected, found, dtype })
    }
}
