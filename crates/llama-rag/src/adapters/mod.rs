//! Other crates' traits over any [`LlamaEngine`](llama_engine::LlamaEngine), each behind a feature of its name: a pipeline that was
//! written for them runs on a model in this process, or on whatever engine there is.
//!
//! Nothing here decides anything: requests and answers are translated, and what has no counterpart is refused by name. Nothing is
//! spawned either; futures are polled where the caller polls them.

#[cfg(feature = "graphrag")]
pub mod graphrag;
mod prompt;
#[cfg(feature = "rig")]
pub mod rig;

pub use prompt::PromptForm;
