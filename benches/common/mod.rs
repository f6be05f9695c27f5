//! A decoder and its cache, driven without scheduler, sampler or tokenizer, so that a benchmark measures kernels.
//!
//! Owns which models are measured, and the made-up tokens that they are fed: those of the peer's benchmark, so that
//! both sides do the same work. It does not measure.
#![allow(dead_code, reason = "each benchmark uses a part")]

use std::path::{Path, PathBuf};

use llama_hub::{Cache, DEFAULT_MODEL, KnownModel};
use llama_rs::{
    backend::{Device, parallel::Pool, simd::Isa},
    kv::{BlockPool, BlockTable, CacheConfig, Holder, PagedCache},
    models::{Batch, Checkpoint, Decoder, DecoderOptions, Output, Span},
};

const BLOCK_LEN: usize = 16;
/// Most rows of one step; longer prompts are fed in chunks. The peer's `n_ubatch`.
const MAX_STEP_TOKENS: usize = 512;
/// Formats of the default model besides its own. `cargo run --release --example convert` makes them.
const DENSE: [&str; 3] = ["f32", "f16", "bf16"];

/// The models to measure: name and path. Says on standard error which are missing and how to get them.
pub(crate) fn models() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut models = vec![("bard bf16".to_owned(), root.join("assets/bard"))];
    let known = KnownModel::find(DEFAULT_MODEL).expect("the default model is known");
    match Cache::from_env().ok().and_then(|cache| cache.find(known)) {
        Some(path) => models.push((format!("{DEFAULT_MODEL} q4_1"), path)),
        None => eprintln!("skipped {DEFAULT_MODEL}: run `cargo xtask model fetch {DEFAULT_MODEL}`"),
    }
    for dtype in DENSE {
        let file = format!("target/models/{DEFAULT_MODEL}-{dtype}.gguf");
        let path = root.join(&file);
        match path.is_file() {
            true => models.push((format!("{DEFAULT_MODEL} {dtype}"), path)),
            false => eprintln!(
                "skipped {DEFAULT_MODEL} in {dtype}: run \
                 `cargo run --release --example convert -- {DEFAULT_MODEL} {file} --dtype {dtype}`"
            ),
        }
    }
    models
}

/// What a figure depends on besides the model.
pub(crate) fn machine() -> String {
    format!("{} threads, {}", Pool::global().num_threads(), Isa::detect())
}

/// A model and some sequences, each as far as it was fed.
pub(crate) struct Workload {
    decoder: Decoder,
    cache: PagedCache,
    pool: BlockPool,
    tables: Vec<BlockTable>,
    tokens: Vec<u32>,
}

impl Workload {
    /// Opens a model, with room for `num_sequences` of up to `max_len` tokens.
    pub(crate) fn open(path: &Path, num_sequences: usize, max_len: usize) -> anyhow::Result<Self> {
        let backend = Device::Cpu.backend()?;
        let decoder = Decoder::new(&Checkpoint::open(path)?, &*backend, DecoderOptions::default())?;
        let config = decoder.config();
        let vocab_size = u32::try_from(config.vocab_size)?;
        let cache = CacheConfig {
            num_layers: config.num_hidden_layers,
            num_kv_heads: config.attention.num_key_value_heads,
            head_dim: config.attention.head_dim,
            num_blocks: num_sequences * max_len.div_ceil(BLOCK_LEN),
            block_len: BLOCK_LEN,
            dtype: decoder.dtype(),
        };
        let mut pool = BlockPool::new(cache.num_blocks, BLOCK_LEN);
        Ok(Self {
            cache: PagedCache::new(cache, &*backend)?,
            // Opened without tokens, so that no sequence finds another's blocks.
            tables: (0..num_sequences).map(|_| pool.open(&[], Holder::Sequence)).collect(),
            tokens: (0..u32::try_from(max_len)?).map(|i| 100 + i * 7919 % (vocab_size - 200)).collect(),
            decoder,
            pool,
        })
    }

    /// Feeds the first `num_sequences` sequences `len` more tokens each, and computes the logits after the last.
    pub(crate) fn feed(&mut self, num_sequences: usize, len: usize) -> anyhow::Result<()> {
        let mut left = len;
        while left > 0 {
            let step_len = left.min((MAX_STEP_TOKENS / num_sequences).max(1));
            self.step(num_sequences, step_len)?;
            left -= step_len;
        }
        Ok(())
    }

    /// Takes every sequence back to its first `len` tokens.
    pub(crate) fn rewind(&mut self, len: usize) {
        self.tables.iter_mut().for_each(|table| self.pool.truncate(table, len));
    }

    fn step(&mut self, num_sequences: usize, len: usize) -> anyhow::Result<()> {
        let mut spans = Vec::with_capacity(num_sequences);
        for table in &mut self.tables[..num_sequences] {
            let first_position = table.len();
            let end = first_position + len;
            self.pool.reserve(table, end)?;
            let tokens = self.tokens[first_position..end].to_vec();
            spans.push(Span { tokens, first_position, blocks: table.indices(), output: Output::LastLogits });
        }
        self.decoder.forward(&Batch::new(spans, BLOCK_LEN)?, &mut self.cache)?;
        for table in &mut self.tables[..num_sequences] {
            let end = table.len() + len;
            self.pool.commit(table, &self.tokens[..end]);
        }
        Ok(())
    }
}
