//! Rows of the embedding table.

use candle_core::DType;
use llama_backend::ops::{Kernels, Op, embed::embed};
use proptest::{collection::vec, prelude::*, strategy::BoxedStrategy};
use serde::{Deserialize, Serialize};

use super::{
    Problem,
    shapes::{WeightName, any_weight_dtype, num_rows, width},
};
use crate::{
    fill::Fill,
    measure::{Comparison, F32_ROUNDOFF, roundoff},
    subject::{Subject, on_cpu, read, stored},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Embed {
    format: WeightName,
    vocab_size: usize,
    width: usize,
    tokens: Vec<u32>,
    weights: Fill,
}

impl Problem for Embed {
    const NAME: &'static str = "embed";
    const OP: Option<Op> = Some(Op::Embed);
    const TOLERANCE: &'static str = "u |y| + 4 u32 (|y| + max |row|): one rounding, and decoding of blocks";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        let tokens = (1usize..50, num_rows())
            .prop_flat_map(|(vocab_size, t)| (Just(vocab_size), vec(0..vocab_size as u32, t)));
        let case = (any_weight_dtype(), tokens, width(), Fill::moderate());
        case.prop_map(|(format, (vocab_size, tokens), width, weights)| Self {
            format,
            vocab_size,
            width: format.whole(width),
            tokens,
            weights,
        })
        .boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let table = stored(self.weights, 1, self.format.dtype(), (self.vocab_size, self.width))?;
        let placed = subject.place(&table, dtype);
        let found = read(&subject.watch(|| embed(&self.tokens, &placed, Kernels::Native))?)?;
        let expected = read(&embed(&self.tokens, &on_cpu(&table), Kernels::Reference)?)?;
        let (u, decoding) =
            (roundoff(dtype), if self.format.dtype().is_quantized() { 4.0 * F32_ROUNDOFF } else { 0.0 });
        let bounds = expected.chunks(self.width).flat_map(|row| {
            let largest = row.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            row.iter().map(move |y| f64::from(y.abs()) * u + decoding * f64::from(y.abs() + largest))
        });
        Ok(Comparison { bounds: bounds.collect(), expected, found, dtype })
    }
}
