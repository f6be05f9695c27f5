//! rig's embedding and completion models.
//!
//! A model of [`rig_core`] is a wire (what is asked, how answers are read) bound to a transport (how they travel). The transport is the
//! engine itself here: nothing is serialised. Both models erase into a [`rig_core::DynModel`], which is what rig's agents, builders and
//! vector stores take.
//!
//! An engine's error stays in the chain of the [`ProviderError`](rig_core::ProviderError), to be downcast; a full queue is retryable,
//! nothing else is. What a request asks for and no engine has is a [`Refusal`], or rig's own `UnsupportedOption`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use llama_engine::{EmbedInput, EmbedRequest, EngineError, GenerateRequest, LlamaEngine};
//! use llama_rag::adapters::{PromptForm, rig::{completion_model, embedding_model}};
//! use rig_core::{DynModel, operation::{Completion, Embedding}};
//!
//! fn models<E: LlamaEngine + 'static>(
//!     engine: Arc<E>,
//! ) -> Result<(DynModel<Embedding>, DynModel<Completion>), EngineError> {
//!     let documents = EmbedRequest { input: EmbedInput::Document, ..EmbedRequest::default() };
//!     let embedder = embedding_model(engine.clone(), documents)?;
//!     Ok((embedder.erase(), completion_model(engine, PromptForm::Chat, GenerateRequest::new("")).erase()))
//! }
//! ```

mod answer;
mod calls;
mod completion;
mod conversation;
mod embedding;
mod error;

pub use answer::{AnswerDecoder, AnswerDocument, Frame};
pub use completion::{Ask, CompletionModel, CompletionWire, Generator, completion_model};
pub use embedding::{Embedder, EmbeddingModel, embedding_model};
pub use error::Refusal;

/// The provider's name in rig's records.
const PROVIDER: &str = "llama-rs";
