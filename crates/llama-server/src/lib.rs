//! OpenAI-compatible HTTP over any [`LlamaEngine`](llama_engine::LlamaEngine).
//!
//! [`Server`] listens, limits and drains; [`router`] is what it serves, for programs that serve it themselves. Requests are turned into the
//! engine's own and answers back ([`llama_openai`] has the types); what an engine can do and OpenAI's API cannot say are extension fields.
//! Nothing that a client sends names a file, and nothing in an error comes from inside.
//!
//! ```
//! use llama_runtime::{CandleEngine, EngineOptions};
//! use llama_server::{Server, ServerConfig};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let bard = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard");
//! let engine = CandleEngine::load(bard, EngineOptions::default()).await?;
//! let config = ServerConfig { address: ([127, 0, 0, 1], 0).into(), ..ServerConfig::default() };
//! let server = Server::bind(engine, config).await?;
//! println!("http://{}/v1", server.local_addr());
//! server.run(async {}).await; // until this future is over: at once, here
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod config;
mod server;

mod routes;

mod admission;
mod answer;
mod answers;
mod auth;
mod body;
mod contexts;
mod convert;
mod error;
pub mod metrics;
#[cfg(feature = "otel")]
pub mod otel;
mod socket;
mod state;

pub use config::{ApiKey, Limits, ServerConfig};
pub use routes::router;
pub use server::Server;

/// The README's code, so that it compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
