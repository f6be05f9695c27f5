//! What the example `watch` consists of: a source is polled, recent polls become figures, and the view shows them.

mod figures;
mod recent;
pub(crate) mod screen;
mod source;
#[cfg(test)]
mod tests;
mod text;
mod view;
pub(crate) mod workload;

use figures::Figures;
pub(crate) use recent::{NUM_POLLS, Recent};
pub(crate) use source::{Poll, Polls, Source};
