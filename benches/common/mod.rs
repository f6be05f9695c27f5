//! A decoder and its cache, driven without scheduler, sampler or tokenizer, so that a benchmark measures kernels.
//!
//! Owns which models are measured, and the made-up tokens that they are fed: those of the peer's benchmark, so that
//! both sides do the same work. It does not measure.
#![allow(dead_code, reason = "each benchmark uses a part")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use candle_core::DType;
use llama_hub::{Cache, DEFAULT_MODEL, KnownModel};
use llama_rs::{
    backend::{
        Backend, Device,
        parallel::{Affinity, Pool},
        simd::Isa,
    },
    kv::{BlockPool, BlockTable, Holder, PagedCache},
    models::{Batch, Checkpoint, Decoder, DecoderOptions, Output, Span},
};

const BLOCK_LEN: usize = 16;
/// Most rows of one step, if nothing else is asked for; longer prompts are fed in chunks. The peer's `n_ubatch`.
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

/// What a figure depends on besides the model. Benchmarks take the environment's `THREADS` and `CORES`, as the examples
/// take `--threads` and `--cores`.
pub(crate) fn machine() -> String {
    let setting = |name| std::env::var(name).ok();
    let threads =
        setting("THREADS").map(|text| text.parse().unwrap_or_else(|_| panic!("THREADS is {text:?}")));
    let cores = setting("CORES").map_or_else(|| Ok(Affinity::default()), |text| text.parse());
    let cores = cores.unwrap_or_else(|error| panic!("CORES: {error}"));
    let pool = PoolOptions { threads, cores }.choose();
    format!("{} threads on processors {}, {}", pool.num_threads(), pool.affinity(), Isa::detect())
}

/// The threads that compute.
#[derive(clap::Args)]
pub(crate) struct PoolOptions {
    /// As many as the machine has, if absent
    #[arg(long)]
    threads: Option<usize>,
    /// Processors to pin threads to, as in `0,2`, or `any`
    #[arg(long, default_value = "any")]
    cores: Affinity,
}

impl PoolOptions {
    /// Sets the global pool up, and pins this thread too.
    pub(crate) fn choose(self) -> &'static Pool {
        let machines = || std::thread::available_parallelism().map_or(1, usize::from);
        let pool = Pool::set_global(self.threads.unwrap_or_else(machines), self.cores);
        pool.pin_caller();
        pool
    }
}

/// Where and how to compute.
#[derive(clap::Args)]
pub(crate) struct DeviceOptions {
    /// cpu, metal, cuda
    #[arg(long, default_value_t = Device::Cpu)]
    device: Device,
    /// f32, f16, bf16; the device's own choice if absent
    #[arg(long)]
    dtype: Option<DType>,
    /// Most rows of one step
    #[arg(long, default_value_t = MAX_STEP_TOKENS)]
    step: usize,
}

impl DeviceOptions {
    /// Opens a model, with room for `num_sequences` of up to `max_len` tokens.
    pub(crate) fn open(&self, path: &Path, num_sequences: usize, max_len: usize) -> anyhow::Result<Workload> {
        let options = DecoderOptions { dtype: self.dtype, ..DecoderOptions::default() };
        let backend = self.device.backend()?;
        let workload = Workload::open_on(path, backend, options, (num_sequences, max_len))?;
        Ok(Workload { max_step_tokens: self.step, ..workload })
    }
}

/// A model and some sequences, each as far as it was fed.
pub(crate) struct Workload {
    decoder: Decoder,
    cache: PagedCache,
    pool: BlockPool,
    tables: Vec<BlockTable>,
    tokens: Vec<u32>,
    weights: Weights,
    backend: Arc<dyn Backend>,
    max_step_tokens: usize,
}

/// What a step reads and computes with: the matrices, without an embedding of which it takes a few rows.
#[derive(Clone)]
pub(crate) struct Weights {
    /// The format that most of the bytes have.
    pub(crate) format: String,
    pub(crate) num_bytes: usize,
    /// Each is multiplied and added once for a token.
    pub(crate) num_layer_weights: usize,
    /// Likewise, if the token's logits are wanted.
    pub(crate) num_head_weights: usize,
}

impl Weights {
    fn of(checkpoint: &Checkpoint) -> Self {
        let is_tied = checkpoint.config().tie_word_embeddings;
        let embeddings = ["model.embed_tokens.weight", "token_embd.weight"];
        let usage = checkpoint.memory_plan().per_dtype.into_iter().max_by_key(|usage| usage.num_bytes);
        let format = usage.map_or_else(String::new, |usage| usage.dtype.to_string());
        let mut weights = Self { format, num_bytes: 0, num_layer_weights: 0, num_head_weights: 0 };
        for tensor in checkpoint.tensors().filter(|tensor| tensor.shape.len() == 2) {
            let (len, is_embedding) =
                (tensor.shape.iter().product::<usize>(), embeddings.contains(&&*tensor.name));
            let is_head =
                (is_tied && is_embedding) || ["lm_head.weight", "output.weight"].contains(&&*tensor.name);
            match (is_head, is_embedding) {
                (true, _) => weights.num_head_weights += len,
                (false, true) => continue,
                (false, false) => weights.num_layer_weights += len,
            }
            weights.num_bytes += tensor.num_bytes;
        }
        weights
    }
}

impl Workload {
    /// Opens a model, with room for `num_sequences` of up to `max_len` tokens.
    pub(crate) fn open(path: &Path, num_sequences: usize, max_len: usize) -> anyhow::Result<Self> {
        Self::open_on(path, Device::Cpu.backend()?, DecoderOptions::default(), (num_sequences, max_len))
    }

    fn open_on(
        path: &Path,
        backend: Arc<dyn Backend>,
        options: DecoderOptions,
        (num_sequences, max_len): (usize, usize),
    ) -> anyhow::Result<Self> {
        let checkpoint = Checkpoint::open(path)?;
        let decoder = Decoder::new(&checkpoint, &*backend, options)?;
        let vocab_size = u32::try_from(decoder.config().vocab_size)?;
        let cache = decoder.cache_config(num_sequences * max_len.div_ceil(BLOCK_LEN), BLOCK_LEN);
        let mut pool = BlockPool::new(cache.num_blocks, BLOCK_LEN);
        Ok(Self {
            cache: PagedCache::new(cache, &*backend)?,
            // Opened without tokens, so that no sequence finds another's blocks.
            tables: (0..num_sequences).map(|_| pool.open(&[], Holder::Sequence)).collect(),
            tokens: (0..u32::try_from(max_len)?).map(|i| 100 + i * 7919 % (vocab_size - 200)).collect(),
            weights: Weights::of(&checkpoint),
            decoder,
            pool,
            backend,
            max_step_tokens: MAX_STEP_TOKENS,
        })
    }

    /// Name of the hardware that computes.
    pub(crate) fn device_name(&self) -> String {
        self.backend.name()
    }

    /// The model's weights.
    pub(crate) fn weights(&self) -> Weights {
        self.weights.clone()
    }

    /// Feeds the first `num_sequences` sequences `len` more tokens each, and computes the logits after the last. Waits for
    /// the device after every step, as whoever chooses the next token must.
    pub(crate) fn feed(&mut self, num_sequences: usize, len: usize) -> anyhow::Result<()> {
        let mut left = len;
        while left > 0 {
            let step_len = left.min((self.max_step_tokens / num_sequences).max(1));
            self.step(num_sequences, step_len)?;
            left -= step_len;
        }
        Ok(())
    }

    /// How long some work on it takes.
    pub(crate) fn seconds(
        &mut self,
        work: impl FnOnce(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<f64> {
        let start = Instant::now();
        work(self)?;
        Ok(start.elapsed().as_secs_f64())
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
        self.backend.synchronize()?;
        for table in &mut self.tables[..num_sequences] {
            let end = table.len() + len;
            self.pool.commit(table, &self.tokens[..end]);
        }
        Ok(())
    }
}
