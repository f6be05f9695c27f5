//! Speculation: tokens are drafted ahead, cheaply, and verified by the model several at once.
//!
//! A [`Drafter`] extends [`Draft`]s, one for each sequence; [`Draft`] refuses whatever could not come: tokens that are
//! not there, that the grammar does not allow, or that end the answer. The worker hands a draft to the scheduler, which
//! plans the last known token and the draft as one span of the common batch. Its logits are looked at row by row, as if
//! each came from a step of its own, for as long as the draft turns out to be what is chosen.
//!
//! Invariant: with [`Verification::Matching`], and at temperature 0 always, a draft decides only how many steps an answer
//! takes. Nothing else does: not its length, nor the clock that measured the costs by which `Pace` chooses it.

mod costs;
mod draft;
mod drafter;
mod model;
mod options;
mod pace;
mod prompt_lookup;
mod quantized;
mod speculator;
mod target;

pub use costs::CostTable;
pub use draft::Draft;
pub use drafter::{DraftError, Drafter};
pub use options::{Costs, DrafterChoice, OwnDrafter, SpeculationOptions, Verification};
pub use prompt_lookup::PromptLookup;

pub(crate) use draft::DraftSpec;
pub(crate) use model::ModelDrafter;
pub(crate) use pace::{Ahead, Pace, Prospect};
pub(crate) use speculator::Speculator;
pub(crate) use target::{Target, open_drafter};
