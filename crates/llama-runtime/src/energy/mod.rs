//! Joules, attributed to reading prompts, writing answers and embedding.
//!
//! A thread of its own looks at the device's counter every [`INTERVAL`]; the worker only says how long its steps took,
//! and reads the newest figure. Method: power counts as constant between two looks. A step's time is shared out among
//! its sequences by tokens, and each share costs the power of the interval that it ended in. What nobody worked on
//! stays unattributed, though the device used it.
//!
//! So what is attributed includes what the device uses at rest, and whatever else runs on it. A request is told its
//! cost when it ends, so its last part is priced by the interval before; one that is shorter than an interval, or a step
//! that is longer, can be off by the change of power meanwhile. Over many intervals the errors cancel. A counter that
//! stands still while it is looked at counts as broken: a zero that nobody measured is not reported.

mod meter;
mod request;
mod sampler;

use std::time::Duration;

pub(crate) use meter::Meter;
pub(crate) use request::{JoulesPerToken, RequestEnergy};

/// Between two looks: counters of GPUs are renewed ten times a second or less.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);

/// What a device works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Prompts, up to the first token of an answer.
    Prefill,
    /// Answers after that, and what of them is computed again.
    Decode,
    /// Texts that become vectors.
    Embed,
}

/// One value for each [`Phase`], in their order.
pub(crate) type PerPhase<T> = [T; 3];
