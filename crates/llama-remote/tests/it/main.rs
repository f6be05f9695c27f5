//! The remote engine against servers of all kinds.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod contract;
mod faults;
mod live;
mod load;
mod script;
mod serving;
mod standard;
#[cfg(feature = "tls")]
mod tls;
