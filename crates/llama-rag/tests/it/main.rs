//! Collections and readers on a real model: bard, the one in the repository.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod collection;
mod crash;
mod folder;
#[cfg(feature = "approximate")]
mod graph;
mod reader;
mod store;
mod support;
