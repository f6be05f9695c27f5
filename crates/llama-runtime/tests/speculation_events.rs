//! `speculation.step` comes once for each draft that was verified, with what the response counts.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use llama_engine::{Prompt, Speculation};
use llama_runtime::{
    EngineOptions,
    speculation::{DrafterChoice, PromptLookup, SpeculationOptions},
};
use support::{ask, bard, check_idle, events::Recorder, exactly, tokens};

#[test]
fn every_draft_is_reported() {
    let recorder = Recorder::install();
    let lookup = PromptLookup { min_match_len: 1, ..PromptLookup::default() };
    let speculation = Some(SpeculationOptions::new(DrafterChoice::PromptLookup(lookup)));
    let engine = bard(EngineOptions { speculation, ..EngineOptions::default() });
    let request = exactly(40, Prompt::Tokens(tokens(3, 8).repeat(4))).with_speculation(Speculation::Fixed(4));
    let usage = ask(&engine, request).unwrap().finished.usage.speculation;
    check_idle(&engine); // The last step has been reported.
    let steps = recorder.named("speculation.step");
    let sum = |field| steps.iter().map(|step| step.u64(field).unwrap()).sum::<u64>();
    assert_eq!(steps.len(), usage.num_drafts);
    assert_eq!(sum("drafted"), usage.drafted_tokens as u64);
    assert_eq!(sum("accepted"), usage.accepted_tokens as u64);
    assert!(usage.accepted_tokens > 0, "{usage:?}");
}
