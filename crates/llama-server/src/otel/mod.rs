//! OpenTelemetry: what requests did, sent to a collector over OTLP.
//!
//! One span a request, of kind server, in the trace of the client that sent `traceparent`; under it what the engine did: `queue`, `prefill`,
//! `decode`. Histograms under the names and with the buckets of the semantic conventions for generative AI (1.38), and with them every
//! counter and gauge that `/metrics` shows. All comes from the same `RequestObserver` and the same registry, so the two never differ. **No
//! text of a prompt, an answer, a grammar or a stop sequence is sent.**
//!
//! Requests wait for nothing here: spans stand in a queue of fixed length and are dropped when it is full, and threads of their own send them.
//! Without a collector a warning is logged when sending begins to fail, and the server goes on.

mod catalog_bridge;
mod instruments;
mod phases;
mod request_span;
mod telemetry;
mod watched;

pub(crate) use request_span::RequestSpan;
pub use telemetry::Telemetry;
pub(crate) use telemetry::{Render, Signals};
