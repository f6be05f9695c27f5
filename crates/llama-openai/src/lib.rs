//! The OpenAI API as types: what goes over the wire between `llama-server` and whoever asks it, and between a remote engine and whatever
//! server it asks. Both directions of serde; knows nothing of engines, of HTTP or of the other crates.
//!
//! Requests read what clients really send (texts or parts, one stop text or many, fields that are null), and refuse what they do not know:
//! a field that was ignored silently could be one that the caller relies on. Errors name the field. Everything that an engine of this
//! project can be asked and OpenAI's API has no field for is an extension field: all in [`extensions`](Extensions), none needed.
//!
//! ```
//! use llama_openai::ChatRequest;
//!
//! let request = r#"{"messages": [{"role": "user", "content": "Hi"}], "stop": ".", "top_k": 40}"#;
//! let request: ChatRequest = serde_json::from_str(request)?;
//! assert_eq!(request.extensions.samplers.top_k, Some(40));
//!
//! let wrong = r#"{"messages": [{"role": "user", "content": "Hi"}], "temperature": "hot"}"#;
//! let error = serde_json::from_str::<ChatRequest>(wrong).unwrap_err().to_string();
//! assert!(error.starts_with("temperature: invalid type: string \"hot\""), "{error}");
//! # Ok::<(), serde_json::Error>(())
//! ```

mod chat;
mod completion;
mod context;
mod embedding;
mod error;
mod extensions;
mod logprobs;
mod model;
mod object;
mod options;
mod tools;

pub use chat::{
    AnswerDelta, AnswerMessage, ChatChoice, ChatChunk, ChatDelta, ChatInput, ChatMessage, ChatRequest,
    ChatResponse, Content, ContentPart, Role,
};
pub use completion::{CompletionChoice, CompletionInput, CompletionRequest, CompletionResponse, Input};
pub use context::{AnswerStopped, ContextDeleted, ContextInput, ContextList, ContextRequest};
pub use embedding::{
    Embedding, EmbeddingExtensions, EmbeddingInput, EmbeddingRequest, EmbeddingResponse, EmbeddingUsage,
    EncodingFormat, InputType, Pooling, Vector,
};
pub use error::{ErrorCode, ErrorDetails, ErrorObject, ErrorResponse};
pub use extensions::{
    ChoiceDetails, Citation, ContextAnswer, ContextField, Dry, DynamicTemperature, Extensions, FinishCause,
    FinishDetails, IdLogprob, Mirostat, PromptToken, RuleExtensions, SamplerExtensions, SpeculationField,
    WorkExtensions, Xtc,
};
pub use logprobs::{CompletionLogprobs, Logprobs, TokenLogprob, TopLogprob};
pub use model::{
    DetokenizeRequest, DetokenizeResponse, EmbeddingDetails, EngineDetails, Health, Model, ModelList,
    TokenizeRequest, TokenizeResponse,
};
pub use options::{
    FinishReason, GenerationOptions, PromptTokensDetails, Remarks, SamplingOptions, Stop, StreamOptions,
    Usage,
};
pub use tools::{
    Function, FunctionCall, FunctionDelta, FunctionName, Grammar, GrammarField, JsonSchemaFormat, NamedTool,
    RequiredCitations, ResponseFormat, Tool, ToolCall, ToolCallDelta, ToolChoice, ToolMode,
};

use object::Object;
