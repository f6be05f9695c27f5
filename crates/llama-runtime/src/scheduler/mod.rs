//! Which tokens run in the next step: pure bookkeeping over integers, no tensor, no clock, no thread.

mod drafts;
mod entry;
mod plan;
mod queue;

#[cfg(test)]
mod tests;

pub use entry::{Draft, DraftTerms, SequenceId, SequenceSpec, Start};
pub use plan::{PlannedSpan, Refusal, StepPlan};
pub use queue::{Scheduler, SchedulerConfig};
