//! How an engine drafts ahead.

use std::{fmt, path::PathBuf, sync::Arc};

use llama_models::Quantization;

use super::{CostTable, Drafter, PromptLookup};

/// How tokens are drafted and verified. See [`crate::EngineOptions::speculation`].
#[derive(Clone, Debug, PartialEq)]
pub struct SpeculationOptions {
    /// What drafts.
    pub drafter: DrafterChoice,
    /// Most tokens of a draft, at most [`llama_engine::MAX_DRAFT_LEN`].
    pub max_draft_len: usize,
    /// How drafts are verified.
    pub verification: Verification,
    /// What steps and drafts cost: by this and by what was accepted so far, each sequence chooses how many tokens are
    /// drafted for it.
    pub costs: Costs,
}

impl SpeculationOptions {
    /// Drafts with this drafter; the rest as usual.
    pub fn new(drafter: DrafterChoice) -> Self {
        Self { drafter, max_draft_len: 8, verification: Verification::default(), costs: Costs::default() }
    }
}

/// What drafts.
#[derive(Clone, Debug, PartialEq)]
pub enum DrafterChoice {
    /// What was said before.
    PromptLookup(PromptLookup),
    /// Another model: a path as for [`crate::CandleEngine::load`]. It must have the same vocabulary, and pays where it is
    /// several times as fast and agrees most of the time. It has a cache of its own, for as many tokens.
    Model(PathBuf),
    /// The same checkpoint with its matrices quantised harder, in memory of this process; for a dense model, or one in
    /// Q8_0. It has a cache of its own, for as many tokens.
    Quantized(Quantization),
    /// One of your own.
    Own(OwnDrafter),
}

/// How drafts are verified where random numbers choose tokens. At temperature 0 both give the model's own choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// The model samples its token as it would without a draft, and the draft is accepted as far as it says the same. A
    /// drafting model draws with the same random numbers, so that close distributions say the same most of the time. The
    /// same seed gives the same answer as without speculation, whatever else runs.
    #[default]
    Matching,
    /// Rejection sampling: accepts as many as can be accepted, and the answer is distributed as without speculation, but
    /// the same seed gives another one. It is the same again with the same drafter and the same costs, which therefore
    /// are not measured for such requests; see [`Costs`]. Only a cache too small for a draft can still change it.
    Rejection,
}

/// Where the costs of steps come from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Costs {
    /// Measured once, while the engine is loaded; it takes under a second for a small model. Random requests under
    /// [`Verification::Rejection`] go by [`CostTable::UNMEASURED`], so that no clock shows in their answers.
    #[default]
    Measured,
    /// These.
    Given(CostTable),
}

/// A drafter of your own: makes it when the engine is loaded, on the worker's thread.
#[derive(Clone)]
pub struct OwnDrafter(Arc<dyn Fn() -> Box<dyn Drafter> + Send + Sync>);

impl OwnDrafter {
    /// From whatever makes one.
    pub fn new(make: impl Fn() -> Box<dyn Drafter> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    pub(crate) fn make(&self) -> Box<dyn Drafter> {
        (self.0)()
    }
}

impl fmt::Debug for OwnDrafter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnDrafter")
    }
}

impl PartialEq for OwnDrafter {
    /// The same one, not one that does the same.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
