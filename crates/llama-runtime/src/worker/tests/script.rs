//! A model whose next token is a hash of everything before it, as the cache tells it.

use std::{cell::Cell, rc::Rc};

use candle_core::{Device, Tensor};
use llama_backend::{BackendError, ops::Kernels};
use llama_kv::PagedCache;
use llama_models::{Batch, ModelError, Output, Outputs};

use super::Random;
use crate::worker::work::Forward;

pub(super) const VOCAB_SIZE: usize = 40;
/// Tokens below are special to the tokenizer.
const FIRST_TOKEN: u32 = 10;

/// The script's next token.
pub(super) fn next_token(tokens: &[u32]) -> u32 {
    let hash = tokens.iter().fold(17u32, |hash, token| hash.wrapping_mul(31).wrapping_add(*token));
    FIRST_TOKEN + hash % (VOCAB_SIZE as u32 - FIRST_TOKEN)
}

/// What goes wrong in the next step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    plan: Option<Fault>,
    pub(super) has_struck: bool,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Error,
    Panic,
    /// After garbage has been written into the new slots.
    LatePanic,
    /// The first span's logits are not numbers.
    Poison,
}

impl Faults {
    pub(super) fn random(random: &mut Random, fails: bool) -> Self {
        let plan = match random.below(60) {
            0 => Some(Fault::Error),
            1 => Some(Fault::Panic),
            2 => Some(Fault::LatePanic),
            3 => Some(Fault::Poison),
            _ => None,
        };
        Self { plan: plan.filter(|_| fails), has_struck: false }
    }
}

pub(super) struct Script {
    pub(super) faults: Rc<Cell<Faults>>,
}

impl Forward for Script {
    fn forward(&self, batch: &Batch, cache: &mut PagedCache) -> Result<Outputs, ModelError> {
        let fault = self.faults.get().plan;
        self.faults.set(Faults { has_struck: fault.is_some(), plan: fault });
        match fault {
            Some(Fault::Error) => {
                let reason = "scripted".to_owned();
                return Err(BackendError::Argument { op: "script", reason }.into());
            }
            Some(Fault::Panic) => panic::quietly("scripted"),
            Some(Fault::LatePanic) => {
                write(batch, cache, &vec![-1.0; batch.num_rows()])?;
                panic::quietly("scripted, late");
            }
            Some(Fault::Poison) | None => {}
        }
        let tokens: Vec<f32> = batch.tokens().iter().map(|&token| token as f32).collect();
        write(batch, cache, &tokens)?;
        let written: Vec<f32> = cache.layer(0).keys.flatten_all()?.to_vec1()?;
        let positions: Vec<f32> = cache.layer(0).values.flatten_all()?.to_vec1()?;
        let layout = batch.layout();
        let spans = layout.spans().iter().zip(batch.outputs()).enumerate().map(|(i, (span, output))| {
            let len = span.first_position + span.rows.len();
            let slots = (0..len).map(|position| layout.slot(span, position));
            let sequence: Vec<u32> = slots.clone().map(|slot| written[slot] as u32).collect();
            assert!(slots.enumerate().all(|(position, slot)| positions[slot] == position as f32), "{span:?}");
            let is_poisoned = i == 0 && matches!(fault, Some(Fault::Poison));
            output_of(*output, &sequence, (span.first_position, is_poisoned))
        });
        spans.collect()
    }
}

fn write(batch: &Batch, cache: &mut PagedCache, tokens: &[f32]) -> Result<(), ModelError> {
    let shape = (batch.num_rows(), 1, 1);
    let keys = Tensor::from_slice(tokens, shape, &Device::Cpu)?; // [t, 1, 1]
    let positions: Vec<f32> = batch.layout().positions().iter().map(|&position| position as f32).collect();
    let values = Tensor::from_vec(positions, shape, &Device::Cpu)?; // [t, 1, 1]
    Ok(cache.write(0, (&keys, &values), &batch.layout().slots(), Kernels::Native)?)
}

fn output_of(
    output: Output,
    sequence: &[u32],
    (first_position, is_poisoned): (usize, bool),
) -> Result<Option<Tensor>, ModelError> {
    let tensor = match output {
        Output::LastLogits | Output::AllLogits => {
            let first_len = if output == Output::AllLogits { first_position + 1 } else { sequence.len() };
            let mut logits = Vec::new();
            for len in first_len..=sequence.len() {
                let mut row = vec![if is_poisoned { f32::NAN } else { 0.0 }; VOCAB_SIZE];
                row[next_token(&sequence[..len]) as usize] = 9.0;
                logits.extend(row);
            }
            Tensor::from_vec(logits, (sequence.len() + 1 - first_len, VOCAB_SIZE), &Device::Cpu)? // [t, v]
        }
        Output::HiddenStates => {
            let states = (first_position + 1..=sequence.len()).map(|len| next_token(&sequence[..len]) as f32);
            let states: Vec<f32> = states.map(|state| if is_poisoned { f32::NAN } else { state }).collect();
            let t = states.len();
            Tensor::from_vec(states, (t, 1), &Device::Cpu)? // [t, 1]
        }
        Output::Nothing => return Ok(None),
    };
    Ok(Some(tensor))
}

pub(super) mod panic {
    /// Panics without the message on standard error.
    pub(in crate::worker) fn quietly(text: &'static str) -> ! {
        std::panic::resume_unwind(Box::new(text))
    }
}
