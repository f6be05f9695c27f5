//! [`CandleEngine`]: the engine that runs here.
//!
//! One worker thread owns decoder and cache and runs steps; sessions are entries in its table, not threads. The
//! engine's front checks requests and turns text into tokens on the caller's thread.
//!
//! ```
//! use llama_engine::{GenerateRequest, LlamaEngine};
//! use llama_runtime::{CandleEngine, EngineOptions};
//!
//! # futures::executor::block_on(async {
//! let bard = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard");
//! let engine = CandleEngine::load(bard, EngineOptions::default()).await?;
//! let request = GenerateRequest::new("HAMLET.\n").with_max_tokens(8);
//! let completion = engine.generate(request).await?.collect().await?;
//! assert_eq!(completion.text, "I am glad he is not a");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! What it does can be watched: [`events`] lists the `tracing` events.

mod answer_text;
mod citations;
mod conversation;
mod encoder;
mod energy;
mod engine;
mod error;
#[cfg(test)]
#[path = "../tests/support/event_page.rs"]
mod event_page;
pub mod events;
mod export;
mod grammar;
mod load;
mod options;
#[cfg(test)]
#[path = "../tests/support/events.rs"]
mod recording;
mod sampling;
pub mod scheduler;
mod sentence;
mod session;
pub mod speculation;
mod stats;
mod vocabulary;
mod worker;

pub use engine::CandleEngine;
pub use error::{LoadError, SessionError};
pub use export::gguf_vocabulary;
pub use grammar::grammar_vocabulary;
pub use load::LoadStage;
pub use options::EngineOptions;
pub use stats::EngineStats;
