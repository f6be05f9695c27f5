//! The server over a real socket, with the small model of the repository.

mod chat;
mod completions;
mod contexts;
mod hostile;
mod limits;
#[cfg(feature = "otel")]
mod otel;
mod others;
mod panics;
mod refusals;
mod support;
mod tools;
