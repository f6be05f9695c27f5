//! Whole decoders: prompts in chunks, decoding, and both in one batch.

use candle_core::DType;
use llama_backend::ops::{Kernels, Op, linear::Activations};
use llama_kv::PagedCache;
use llama_models::{Batch, DecoderOptions, Output, Span};
use proptest::{collection::vec, prelude::*, strategy::BoxedStrategy};
use serde::{Deserialize, Serialize};

use super::{Problem, decoder_model::Model};
use crate::{
    fill::permutation,
    measure::{Comparison, F32_ROUNDOFF, roundoff},
    subject::{Subject, read},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Decoder {
    model: Model,
    /// New tokens of each sequence in each step; sequences that have ended are left out.
    sequences: Vec<Vec<usize>>,
    block_len: usize,
    order: u32,
}

/// Multiple of the largest logit of a row that its logits may be off by, in roundoffs for each layer.
const PER_LAYER: f64 = 12.0;

impl Problem for Decoder {
    const NAME: &'static str = "decoder";
    const OP: Option<Op> = None;
    const TOLERANCE: &'static str = "12 (1 + layers) (u + 4 u32) max |logits of the row|: errors of all operations add up; chosen, not derived";

    fn cases(_dtype: DType) -> BoxedStrategy<Self> {
        let chunk = prop_oneof![2 => Just(1usize), 1 => 2usize..20];
        let sequences = vec(vec(chunk, 1..5), 1..4);
        (Model::any(), sequences, prop_oneof![Just(16usize), 1usize..20], 0u32..1 << 16)
            .prop_map(|(model, sequences, block_len, order)| Self { model, sequences, block_len, order })
            .boxed()
    }

    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison> {
        let checkpoint = self.model.open()?;
        let activations = Activations::Exact;
        let options = DecoderOptions { dtype: Some(dtype), kernels: Kernels::Native, activations };
        let decoder = llama_models::Decoder::new(&checkpoint, subject.backend(), options)?;
        let found = subject.watch(|| self.logits(&decoder, subject.backend()))?;
        let cpu = llama_backend::Device::Cpu.backend()?;
        let options = DecoderOptions { dtype: Some(DType::F32), kernels: Kernels::Reference, activations };
        let expected = self.logits(&llama_models::Decoder::new(&checkpoint, &*cpu, options)?, &*cpu)?;
        let relative =
            PER_LAYER * (1 + self.model.num_layers) as f64 * (roundoff(dtype) + 4.0 * F32_ROUNDOFF);
        let bounds = expected.chunks(Model::VOCAB_SIZE).flat_map(|row| {
            let largest = row.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            row.iter().map(move |_| relative * f64::from(largest))
        });
        Ok(Comparison { bounds: bounds.collect(), expected, found, dtype: DType::F32 })
    }
}

impl Decoder {
    /// Logits of every row of every step.
    ///
    /// # Shapes
    /// Result: `[rows, v]`
    fn logits(
        &self,
        decoder: &llama_models::Decoder,
        backend: &dyn llama_backend::Backend,
    ) -> anyhow::Result<Vec<f32>> {
        let counts: Vec<usize> = self
            .sequences
            .iter()
            .map(|chunks| chunks.iter().sum::<usize>().div_ceil(self.block_len))
            .collect();
        let num_blocks = counts.iter().sum();
        let order = permutation(num_blocks, self.order);
        let mut cache = PagedCache::new(decoder.cache_config(num_blocks, self.block_len), backend)?;
        let num_steps = self.sequences.iter().map(Vec::len).max().unwrap_or(0);
        let mut logits = Vec::new();
        for step_idx in 0..num_steps {
            let batch = Batch::new(self.spans(step_idx, &counts, &order), self.block_len)?;
            for output in decoder.forward(&batch, &mut cache)?.iter().flatten() {
                logits.extend(read(output)?);
            }
        }
        Ok(logits)
    }

    fn spans(&self, step_idx: usize, counts: &[usize], order: &[u32]) -> Vec<Span> {
        let mut next_block = 0;
        let mut spans = Vec::new();
        for (sequence_idx, (chunks, &count)) in self.sequences.iter().zip(counts).enumerate() {
            let blocks = &order[next_block..next_block + count];
            next_block += count;
            let Some(&len) = chunks.get(step_idx) else { continue };
            let first_position: usize = chunks[..step_idx].iter().sum();
            let token = |position: usize| ((position * 7 + sequence_idx * 13 + 3) % Model::VOCAB_SIZE) as u32;
            spans.push(Span {
                tokens: (first_position..first_position + len).map(token).collect(),
                first_position,
                blocks: blocks[..(first_position + len).div_ceil(self.block_len)].to_vec(),
                output: if step_idx % 3 == 1 { Output::LastLogits } else { Output::AllLogits },
            });
        }
        spans
    }
}
