//! The narrow waist of llama.rs: one trait, [`LlamaEngine`], through which all text generation and embedding goes.
//!
//! Knows no Candle, no async runtime and no HTTP: requests and events are plain data, futures are returned by
//! position (`impl Future`), streams are [`futures_core::Stream`]s that any executor can drive. Whoever holds an
//! `impl LlamaEngine` does not know whether the model runs in this process or across a network.
//!
//! ```
//! use llama_engine::{GenerateRequest, Prompt, Sampling};
//!
//! let request = GenerateRequest::new(Prompt::from("To be, or"))
//!     .with_max_tokens(16)
//!     .with_sampling(Sampling { temperature: 0.8, seed: Some(7), ..Sampling::default() });
//! assert_eq!(request.max_tokens, Some(16));
//! ```

mod chat;
#[cfg(feature = "contract")]
pub mod contract;
mod embed;
mod engine;
mod error;
mod event;
mod grammar;
mod penalties;
mod pinned;
mod request;
mod sampling;
mod stream;

pub use chat::{Conversation, Message, Role, Tool, ToolCall};
pub use embed::{
    Dimensions, EmbedInput, EmbedRequest, EmbeddingInfo, Embeddings, Normalization, Overlong, Pooling,
};
pub use engine::{EngineInfo, LlamaEngine, ModelKind};
pub use error::EngineError;
pub use event::{
    DraftPlace, Event, FinishReason, Finished, MAX_DRAFT_LEN, PromptEvent, PromptToken, SpeculationUsage,
    Timings, TokenEvent, TokenLogprob, UNKNOWN_TOKEN, Usage,
};
pub use grammar::{
    Citation, CitationGrammar, Grammar, RequiredCitations, ToolCallChoice, ToolCallCount, ToolCallGrammar,
};
pub use penalties::{Dry, Penalties, TokenRules};
pub use pinned::{ContextId, PinnedContext, unique_engine};
pub use request::{
    EndOfText, GenerateRequest, KeepContext, Logprobs, Priority, Prompt, Speculation, Urgency,
};
pub use sampling::{DynamicTemperature, Mirostat, MirostatVersion, Sampling, Stage, Xtc};
pub use stream::{Completion, TokenStream};
