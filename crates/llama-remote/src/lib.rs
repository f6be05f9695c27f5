//! The engine of llama.rs over HTTP: [`RemoteEngine`] is a [`llama_engine::LlamaEngine`] on any OpenAI-compatible server.
//!
//! A program written against the trait moves from this machine to a cluster by changing one line:
//!
//! ```
//! use llama_engine::{GenerateRequest, LlamaEngine};
//! use llama_remote::RemoteEngine;
//! # use llama_runtime::{CandleEngine, EngineOptions};
//! # use llama_server::{Server, ServerConfig};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let bard = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard");
//! # let local = CandleEngine::load(bard, EngineOptions::default()).await?;
//! # let config = ServerConfig { address: ([127, 0, 0, 1], 0).into(), ..ServerConfig::default() };
//! # let server = Server::bind(local, config).await?;
//! # let url = format!("http://{}", server.local_addr());
//! # tokio::spawn(server.run(std::future::pending()));
//! let engine = RemoteEngine::builder().endpoint(url).api_key("secret").connect().await?;
//! let request = GenerateRequest::new("To be, or").with_max_tokens(8);
//! let answer = engine.generate(request).await?.collect().await?;
//! assert_eq!(answer.tokens.len(), 8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Needs a tokio runtime, and no Candle: what computes is elsewhere. Prompts go to endpoints in turn; those that fail are left out and
//! probed until they are back. Nothing is repeated once a part of its answer has arrived.
//!
//! The feature `tls` brings its own provider of cryptography and sets none for the process. `reqwest` clients of yours in the same program
//! then need one: `rustls::crypto::ring::default_provider().install_default()`, or the feature `rustls` of `reqwest`.
#![doc = include_str!("dialects.md")]

mod answer;
mod body;
mod builder;
mod details;
mod dialect;
mod engine;
mod error;
#[cfg(test)]
#[path = "../../llama-runtime/tests/support/event_page.rs"]
mod event_page;
pub mod events;
mod extended;
mod models;
mod pins;
mod pool;
#[cfg(test)]
#[path = "../../llama-runtime/tests/support/events.rs"]
mod recording;
mod refusal;
mod reply;
mod retry;
mod sse;
mod standard;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod vectors;

pub use builder::RemoteEngineBuilder;
pub use dialect::Dialect;
pub use engine::RemoteEngine;
pub use error::{ConnectError, RemoteError, WaitedFor};
pub use pool::HealthPolicy;
pub use retry::RetryPolicy;
pub use transport::Timeouts;
