//! The seam for whatever drafts.

use super::Draft;
use crate::scheduler::SequenceId;

/// Why nothing could be drafted. The sequences go on one token a step.
pub type DraftError = Box<dyn std::error::Error + Send + Sync>;

/// Drafts tokens ahead. What it drafts changes how fast answers come, never what is in them; the closer to what the
/// model would say, the faster.
pub trait Drafter {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// Extends each draft by what may come next, by [`Draft::push`] or [`Draft::push_from`], until it takes no more or
    /// there is nothing to propose. All sequences that speculate in a step are given at once.
    ///
    /// # Errors
    /// Its own. The drafts are used as far as they came.
    fn extend(&mut self, drafts: &mut [Draft]) -> Result<(), DraftError>;

    /// A sequence is over: what is kept for it can go.
    fn forget(&mut self, sequence: SequenceId) {
        let _ = sequence;
    }
}
