//! What the engine asks of its worker. Everything is checked and tokenised before it gets here.

use futures_channel::oneshot;
use llama_engine::{ContextId, EngineError, Normalization, PinnedContext, Pooling, Priority};

use super::Generation;
use crate::{EngineStats, session::Snapshot};

/// Where one answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

/// A request to the worker.
pub(crate) enum Command {
    Generate(GenerateJob),
    Embed(EmbedJob),
    Pin(PinJob),
    Release(ContextId),
    Stats(Reply<EngineStats>),
    /// Copy a context, up to `len` tokens, out of the cache.
    Export {
        id: ContextId,
        len: usize,
        reply: Reply<Snapshot>,
    },
    /// Pin what was copied out before.
    Import {
        snapshot: Snapshot,
        reply: Reply<PinnedContext>,
    },
    /// The engine is gone: finish what was asked and end.
    Shutdown,
}

/// Generations from one prompt, ready to run.
pub(crate) struct GenerateJob {
    /// Tokens after those of the context.
    pub(crate) tokens: Vec<u32>,
    /// The handle keeps the context pinned until the generation has started.
    pub(crate) context: Option<(ContextId, PinnedContext)>,
    pub(crate) priority: Priority,
    /// Alternatives to report for each token of the prompt.
    pub(crate) prompt_logprobs: Option<usize>,
    /// At least one.
    pub(crate) samples: Vec<Generation>,
}

/// Texts to embed, as tokens.
pub(crate) struct EmbedJob {
    pub(crate) texts: Vec<Vec<u32>>,
    pub(crate) pooling: Pooling,
    pub(crate) normalization: Normalization,
    /// Components to keep.
    pub(crate) dimensions: usize,
    pub(crate) priority: Priority,
    pub(crate) reply: Reply<Vec<Vec<f32>>>,
}

/// A prompt to pin, as tokens.
pub(crate) struct PinJob {
    pub(crate) tokens: Vec<u32>,
    pub(crate) reply: Reply<PinnedContext>,
}
