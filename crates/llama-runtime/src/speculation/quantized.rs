//! Drafts from the target's own checkpoint, quantised harder, in memory of this process.

use llama_models::{Checkpoint, Quantization};

use super::{
    ModelDrafter,
    target::{Target, drafting_model},
};
use crate::LoadError;

/// Quantises the target's checkpoint once more and makes a drafter of it.
pub(super) fn open(target: &Target<'_>, quantization: Quantization) -> Result<ModelDrafter, LoadError> {
    let checkpoint = Checkpoint::open(target.path)?.quantized_for_drafts(quantization, &|_| {})?;
    drafting_model("quantised copy", &checkpoint, target)
}
