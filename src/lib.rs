//! llama.rs: Llama-family inference on Candle tensors: paged, deterministic, readable.
//!
//! Most programs need [`prelude`] alone: load a [`CandleEngine`](runtime::CandleEngine) and ask it through the trait
//! [`LlamaEngine`](engine::LlamaEngine). The modules below are the layers, from the trait down to the kernels; each
//! can be used by itself.
//!
//! ```
//! use llama_rs::prelude::*;
//!
//! # futures::executor::block_on(async {
//! let bard = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/bard");
//! let engine = CandleEngine::load(bard, EngineOptions::default()).await?;
//! let mut stream = engine.generate(GenerateRequest::new("HAMLET.\n").with_max_tokens(8)).await?;
//! while let Some(Event::Token(token)) = stream.next_event().await? {
//!     print!("{}", token.text);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

pub use llama_backend as backend;
pub use llama_engine as engine;
#[cfg(feature = "hub")]
pub use llama_hub as hub;
pub use llama_kv as kv;
pub use llama_models as models;
#[cfg(feature = "rag")]
pub use llama_rag as rag;
#[cfg(feature = "remote")]
pub use llama_remote as remote;
pub use llama_runtime as runtime;
pub use llama_sampling as sampling;
pub use llama_tokenizer as tokenizer;

/// What a program that asks a model needs.
pub mod prelude {
    pub use llama_backend::Device;
    pub use llama_engine::{
        Citation, CitationGrammar, Completion, Conversation, Dimensions, Dry, DynamicTemperature, EmbedInput,
        EmbedRequest, EndOfText, EngineError, Event, FinishReason, GenerateRequest, Grammar, KeepContext,
        LlamaEngine, Message, Mirostat, MirostatVersion, Penalties, PinnedContext, Priority, Prompt,
        PromptToken, RequiredCitations, Role, Sampling, Speculation, Stage, TokenLogprob, TokenRules,
        TokenStream, Tool, ToolCall, Xtc,
    };
    pub use llama_models::Quantization;
    pub use llama_runtime::{CandleEngine, EngineOptions};
}

/// The README's code, so that it compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
