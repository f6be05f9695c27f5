//! From an encoder's checkpoint to what its worker and the engine's front need.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicUsize, mpsc::Sender},
};

use llama_backend::Backend;
use llama_engine::{EngineInfo, ModelKind};
use llama_models::{Checkpoint, Encoder, EncoderConfig};

use crate::{
    EngineOptions, LoadError, LoadStage,
    energy::{self, Meter},
    load::{self, Loaded},
    vocabulary::TextSide,
    worker::{Command, EncoderWorker},
};

/// Makes an encoder of a checkpoint.
pub(crate) fn open(
    (path, checkpoint): (&Path, Checkpoint<EncoderConfig>),
    backend: &Arc<dyn Backend>,
    options: &EngineOptions,
    (commands, on_stage): (Sender<Command>, &dyn Fn(LoadStage)),
) -> Result<(Loaded, EncoderWorker), LoadError> {
    if options.speculation.is_some() {
        let reason = "the model is an encoder, which generates nothing".to_owned();
        return Err(LoadError::Option { option: "speculation", reason });
    }
    on_stage(LoadStage::Tokenizer);
    let text = TextSide::open(&checkpoint)?;
    let checkpoint = match options.quantize {
        Some(quantization) => {
            checkpoint.quantized(quantization, &|progress| on_stage(LoadStage::Quantizing(progress)))?
        }
        None => checkpoint,
    };
    on_stage(LoadStage::Weights);
    let encoder = Encoder::new(&checkpoint, &**backend, options.decoder)?;
    let config = encoder.config();
    let context_len = options.context_len_for(config.max_position_embeddings);
    let embedding = load::embedding_info(checkpoint.vocabulary(), config.hidden_size, context_len)?;
    let num_waiting = Arc::new(AtomicUsize::new(0));
    let loaded = Loaded {
        info: EngineInfo {
            model: load::model_name(path),
            context_len,
            vocab_size: config.vocab_size,
            kind: ModelKind::Encoder,
            embedding,
            device: backend.name(),
            block_len: options.block_len,
        },
        text,
        end_tokens: Vec::new(),
        engine: llama_engine::unique_engine(),
        num_waiting: num_waiting.clone(),
        commands,
        identity: None,
    };
    on_stage(LoadStage::Ready);
    let backend = backend.clone();
    let meter = Meter::start(move || backend.power_sensor(), energy::INTERVAL);
    Ok((loaded, EncoderWorker::new(encoder, options.max_step_tokens, num_waiting, meter)))
}
