//! From a path to a running engine.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::AtomicUsize,
        mpsc::{self, Sender},
    },
    thread,
};

use futures_channel::oneshot;
use llama_backend::Backend;
use llama_engine::{EmbeddingInfo, EngineInfo, ModelKind};
use llama_kv::{BlockPool, PagedCache};
use llama_models::{
    AnyCheckpoint, Checkpoint, Decoder, DecoderOptions, Vocabulary, checkpoint::TensorProgress,
};

use crate::{
    EngineOptions, LoadError, encoder,
    energy::{self, Meter},
    scheduler::{Scheduler, SchedulerConfig},
    sentence::SentenceSettings,
    session::Shape,
    speculation::{Speculator, Target, open_drafter},
    vocabulary::TextSide,
    worker::{Command, EncoderWorker, Forward, Worker, WorkerParts},
};

/// How far loading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadStage {
    /// Reading headers and configuration.
    Checkpoint,
    /// Building the tokenizer.
    Tokenizer,
    /// Quantising the matrices, after each; only if the options ask for it.
    Quantizing(TensorProgress),
    /// Checking that every weight is there. None is read.
    Weights,
    /// Reserving the cache.
    Cache,
    /// Making the drafter and measuring what steps cost; only if the options ask for speculation.
    Drafter,
    /// Done.
    Ready,
}

/// What the engine's front keeps of a loaded model.
pub(crate) struct Loaded {
    pub(crate) info: EngineInfo,
    pub(crate) text: TextSide,
    pub(crate) end_tokens: Vec<u32>,
    pub(crate) engine: u64,
    pub(crate) num_waiting: Arc<AtomicUsize>,
    pub(crate) commands: Sender<Command>,
    /// What sessions must match; an encoder has none.
    pub(crate) identity: Option<Identity>,
}

/// What sessions in files must match.
pub(crate) struct Identity {
    pub(crate) checkpoint: Checkpoint,
    /// Computed when the first session needs it.
    pub(crate) fingerprint: OnceLock<String>,
    /// What changes keys and values besides the checkpoint.
    pub(crate) arithmetic: String,
    /// What keys and values look like.
    pub(crate) shape: Shape,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // A worker that has died needs no farewell.
        let _ = self.commands.send(Command::Shutdown);
    }
}

/// Starts the worker thread, which loads the model and then serves.
pub(crate) async fn load(
    path: PathBuf,
    options: EngineOptions,
    on_stage: impl Fn(LoadStage) + Send + 'static,
) -> Result<Loaded, LoadError> {
    check(&options)?;
    let (reply, loaded) = oneshot::channel();
    let (commands, inbox) = mpsc::channel();
    let work = move || {
        llama_backend::parallel::Pool::global().pin_caller();
        let opened = open(&path, &options, commands.clone(), &on_stage);
        let (answer, worker) = match opened {
            Ok((loaded, worker)) => (Ok(loaded), Some(worker)),
            Err(error) => (Err(error), None),
        };
        // If nobody waits for the engine any more, `loaded` is dropped here and the worker finds its inbox closed.
        if reply.send(answer).is_ok()
            && let Some(worker) = worker
        {
            match worker {
                AnyWorker::Decoder(parts) => Worker::new(*parts, commands).run(&inbox),
                AnyWorker::Encoder(worker) => worker.run(&inbox),
            }
        }
    };
    thread::Builder::new().name("llama-worker".to_owned()).spawn(work).map_err(LoadError::Thread)?;
    loaded.await.unwrap_or(Err(LoadError::Stopped))
}

fn check(options: &EngineOptions) -> Result<(), LoadError> {
    let at_least_one = [
        ("block_len", Some(options.block_len)),
        ("max_step_tokens", Some(options.max_step_tokens)),
        ("max_running", Some(options.max_running)),
        ("max_waiting", Some(options.max_waiting)),
        ("context_len", options.context_len),
        ("cache_tokens", options.cache_tokens),
    ];
    match at_least_one.into_iter().find(|(_, value)| *value == Some(0)) {
        Some((option, _)) => Err(LoadError::Option { option, reason: "0, expected at least 1".to_owned() }),
        None => Ok(()),
    }
}

/// What serves a model of either kind.
enum AnyWorker {
    Decoder(Box<WorkerParts>),
    Encoder(EncoderWorker),
}

fn open(
    path: &Path,
    options: &EngineOptions,
    commands: Sender<Command>,
    on_stage: &dyn Fn(LoadStage),
) -> Result<(Loaded, AnyWorker), LoadError> {
    on_stage(LoadStage::Checkpoint);
    let backend: Arc<dyn Backend> = options.device.backend()?;
    match AnyCheckpoint::open(path)? {
        AnyCheckpoint::Decoder(checkpoint) => {
            let (loaded, parts) = open_decoder((path, checkpoint), &backend, options, (commands, on_stage))?;
            Ok((loaded, AnyWorker::Decoder(Box::new(parts))))
        }
        AnyCheckpoint::Encoder(checkpoint) => {
            let (loaded, worker) =
                encoder::open((path, checkpoint), &backend, options, (commands, on_stage))?;
            Ok((loaded, AnyWorker::Encoder(worker)))
        }
    }
}

fn open_decoder(
    (path, mut checkpoint): (&Path, Checkpoint),
    backend: &Arc<dyn Backend>,
    options: &EngineOptions,
    (commands, on_stage): (Sender<Command>, &dyn Fn(LoadStage)),
) -> Result<(Loaded, WorkerParts), LoadError> {
    on_stage(LoadStage::Tokenizer);
    let text = TextSide::open(&checkpoint)?;
    if let Some(quantization) = options.quantize {
        checkpoint =
            checkpoint.quantized(quantization, &|progress| on_stage(LoadStage::Quantizing(progress)))?;
    }
    on_stage(LoadStage::Weights);
    let decoder = Decoder::new(&checkpoint, &**backend, options.decoder)?;
    on_stage(LoadStage::Cache);
    let (context_len, mut cache) = allocate(&decoder, &**backend, options)?;
    let config = decoder.config();
    let (engine, num_waiting) = (llama_engine::unique_engine(), Arc::new(AtomicUsize::new(0)));
    let loaded = Loaded {
        info: describe((path, &checkpoint), context_len, (&**backend, options))?,
        end_tokens: config.special_tokens.eos_token_ids.clone(),
        engine,
        num_waiting: num_waiting.clone(),
        commands,
        text,
        identity: Some(Identity {
            arithmetic: arithmetic(&decoder, options),
            shape: Shape::new(cache.config(), config.vocab_size, context_len),
            fingerprint: OnceLock::new(),
            checkpoint,
        }),
    };
    let vocab_size = loaded.text.tokenizer.vocab_size();
    let limits =
        SchedulerConfig { max_step_tokens: options.max_step_tokens, max_running: options.max_running };
    let pool = BlockPool::new(cache.config().num_blocks, options.block_len);
    let scheduler = Scheduler::new(limits, pool);
    let speculator = match &options.speculation {
        Some(speculation) => {
            on_stage(LoadStage::Drafter);
            let target = Target {
                path,
                backend: &**backend,
                decoder: options.decoder,
                cache: *cache.config(),
                tokenizer: &loaded.text.tokenizer,
            };
            let drafter = open_drafter(&speculation.drafter, &target)?;
            let model = (&decoder as &dyn Forward, &mut cache);
            Some(Speculator::new(speculation, drafter, model, (&scheduler, vocab_size))?)
        }
        None => None,
    };
    on_stage(LoadStage::Ready);
    let decoder = Box::new(decoder);
    let backend = backend.clone();
    let meter = Meter::start(move || backend.power_sensor(), energy::INTERVAL);
    let parts = WorkerParts { decoder, cache, scheduler, vocab_size, engine, num_waiting, speculator, meter };
    Ok((loaded, parts))
}

/// What changes keys and values besides the checkpoint.
fn arithmetic(decoder: &Decoder, options: &EngineOptions) -> String {
    let DecoderOptions { kernels, activations, .. } = options.decoder;
    format!("{:?} {kernels:?} {activations:?} {}", decoder.dtype(), options.device)
}

/// The cache, and the longest sequence that model and cache allow.
fn allocate(
    decoder: &Decoder,
    backend: &dyn Backend,
    options: &EngineOptions,
) -> Result<(usize, PagedCache), LoadError> {
    let config = decoder.config();
    let model_len = config.max_position_embeddings;
    let num_blocks = options.num_blocks(options.context_len_for(model_len));
    let cache = decoder.cache_config(num_blocks, options.block_len);
    let per_block = cache.bytes_per_token().checked_mul(options.block_len);
    let total = per_block.and_then(|bytes| bytes.checked_mul(num_blocks)).filter(|&bytes| bytes < 1 << 46);
    if total.is_none() || u32::try_from(num_blocks * options.block_len).is_err() {
        return Err(LoadError::Option {
            option: "cache_tokens",
            reason: format!("{num_blocks} blocks of {} tokens are too many", options.block_len),
        });
    }
    let context_len = options.context_len_for(model_len).min(num_blocks * options.block_len);
    Ok((context_len, PagedCache::new(cache, backend)?))
}

fn describe(
    (path, checkpoint): (&Path, &Checkpoint),
    context_len: usize,
    (backend, options): (&dyn Backend, &EngineOptions),
) -> Result<EngineInfo, LoadError> {
    let config = checkpoint.config();
    Ok(EngineInfo {
        model: model_name(path),
        context_len,
        vocab_size: config.vocab_size,
        kind: ModelKind::Decoder,
        embedding: embedding_info(checkpoint.vocabulary(), config.hidden_size, context_len)?,
        device: backend.name(),
        block_len: options.block_len,
    })
}

/// How a checkpoint's files name it.
pub(crate) fn model_name(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// What a model's vectors are like, as far as the files beside its weights tell.
pub(crate) fn embedding_info(
    files: Vocabulary<'_>,
    len: usize,
    context_len: usize,
) -> Result<EmbeddingInfo, LoadError> {
    let settings = match files {
        Vocabulary::HuggingFace { dir } => SentenceSettings::read(dir)?,
        Vocabulary::Gguf(_) => SentenceSettings::default(),
    };
    Ok(EmbeddingInfo {
        len,
        max_tokens: settings.max_tokens.unwrap_or(context_len).min(context_len),
        pooling: settings.pooling.unwrap_or_default(),
        query_prefix: settings.query_prefix,
        document_prefix: settings.document_prefix,
        trained_dimensions: Vec::new(),
    })
}
