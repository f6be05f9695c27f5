//! The engine of llama.rs over HTTP: [`RemoteEngine`] is a [`llama_engine::LlamaEngine`] on any OpenAI-compatible server.
//!
//! A program written against the trait moves from this machine to a cluster by changing one line:
//!
//! ```no_run
//! use llama_engine::{GenerateRequest, LlamaEngine};
//! use llama_remote::RemoteEngine;
//!
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = RemoteEngine::builder()
//!     .endpoint("http://10.0.0.1:8080")
//!     .endpoint("http://10.0.0.2:8080")
//!     .api_key("secret")
//!     .connect()
//!     .await?;
//! let answer = engine.generate(GenerateRequest::new("To be").with_max_tokens(8)).await?.collect().await?;
//! println!("{}", answer.text);
//! # Ok(())
//! # }
//! ```
//!
//! Needs a tokio runtime, and no Candle: what computes is elsewhere. Prompts go to endpoints in turn; those that fail are left out and
//! probed until they are back. Nothing is repeated once a part of its answer has arrived.
#![doc = include_str!("dialects.md")]

mod answer;
mod body;
mod builder;
mod details;
mod dialect;
mod engine;
mod error;
mod extended;
mod models;
mod pins;
mod pool;
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
