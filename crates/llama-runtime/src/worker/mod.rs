//! The worker thread: it owns decoder and cache, and turns commands into steps and steps into events.

mod command;
mod draft;
mod embedding;
mod encoder;
mod energy;
mod generation;
mod guide;
mod masks;
mod pins;
mod prompt;
mod snapshots;
mod step;
mod work;

#[cfg(test)]
mod tests;

pub(crate) use command::{Command, EmbedJob, GenerateJob, PinJob, Reply};
pub(crate) use encoder::EncoderWorker;
pub(crate) use generation::{Ends, Generation, GenerationSpec};
pub(crate) use guide::{Forcing, Guide};
pub(crate) use work::{Forward, Worker, WorkerParts};
