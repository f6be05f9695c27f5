//! From the wire to the engine: requests, checked as far as the engine does not check them itself.

mod embed;
mod generate;
mod grammar;
mod prompt;
mod sampling;

pub(crate) use embed::{embed_request, pooling_out};
pub(crate) use generate::{check_alternatives, check_answers, generate_request};
pub(crate) use grammar::constrain;
pub(crate) use prompt::{check_prompt, conversation, prompts};

use grammar::grammar;
use sampling::sampling;

/// A count that may be larger than this machine counts; then it is over every limit.
fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
