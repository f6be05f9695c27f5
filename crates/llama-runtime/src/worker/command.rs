//! What the engine asks of its worker. Everything is checked and tokenised before it gets here.

use std::time::Instant;

use futures_channel::{mpsc, oneshot};
use llama_engine::{ContextId, EngineError, Event, KeepContext, Normalization, PinnedContext, Pooling};
use llama_sampling::Sampler;

use crate::{EngineStats, answer_text::AnswerText};

/// Where one answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

/// A request to the worker.
pub(crate) enum Command {
    Generate(Box<GenerateJob>),
    Embed(EmbedJob),
    Pin(PinJob),
    Release(ContextId),
    Stats(Reply<EngineStats>),
    /// The engine is gone: finish what was asked and end.
    Shutdown,
}

/// A generation, ready to run.
pub(crate) struct GenerateJob {
    /// Tokens after those of the context.
    pub(crate) tokens: Vec<u32>,
    /// The handle keeps the context pinned until the generation has started.
    pub(crate) context: Option<(ContextId, PinnedContext)>,
    pub(crate) sampler: Sampler,
    pub(crate) text: AnswerText,
    pub(crate) max_tokens: usize,
    /// Tokens that end the answer.
    pub(crate) end_tokens: Vec<u32>,
    /// Alternatives to report.
    pub(crate) logprobs: Option<usize>,
    pub(crate) keep: KeepContext,
    pub(crate) events: mpsc::UnboundedSender<Result<Event, EngineError>>,
    /// Dropped or completed when the caller asks for an early end.
    pub(crate) stop: oneshot::Receiver<()>,
    pub(crate) arrived: Instant,
}

/// Texts to embed, as tokens.
pub(crate) struct EmbedJob {
    pub(crate) texts: Vec<Vec<u32>>,
    pub(crate) pooling: Pooling,
    pub(crate) normalization: Normalization,
    /// Components to keep.
    pub(crate) dimensions: usize,
    pub(crate) reply: Reply<Vec<Vec<f32>>>,
}

/// A prompt to pin, as tokens.
pub(crate) struct PinJob {
    pub(crate) tokens: Vec<u32>,
    pub(crate) reply: Reply<PinnedContext>,
}
