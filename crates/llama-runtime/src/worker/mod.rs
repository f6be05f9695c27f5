//! The worker thread: it owns decoder and cache, and turns commands into steps and steps into events.

mod command;
mod embedding;
mod generation;
mod pins;
mod step;
mod work;

pub(crate) use command::{Command, EmbedJob, GenerateJob, PinJob, Reply};
pub(crate) use work::{Worker, WorkerParts};
