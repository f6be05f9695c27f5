//! `speculation.step` comes once for each draft that was verified, with what the response counts.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Mutex;

use llama_engine::{Prompt, Speculation};
use llama_runtime::{
    EngineOptions,
    speculation::{DrafterChoice, PromptLookup, SpeculationOptions},
};
use support::{ask, bard, check_idle, exactly, tokens};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

static STEPS: Mutex<Vec<Step>> = Mutex::new(Vec::new());

/// The fields of an event.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    drafted: Option<u64>,
    accepted: Option<u64>,
}

impl Visit for Step {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "drafted" => self.drafted = Some(value),
            "accepted" => self.accepted = Some(value),
            other => panic!("a field {other}"),
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        if event.metadata().name() == "speculation.step" {
            let mut step = Step::default();
            event.record(&mut step);
            STEPS.lock().unwrap().push(step);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn every_draft_is_reported() {
    tracing::subscriber::set_global_default(Collector).unwrap();
    let lookup = PromptLookup { min_match_len: 1, ..PromptLookup::default() };
    let speculation = Some(SpeculationOptions::new(DrafterChoice::PromptLookup(lookup)));
    let engine = bard(EngineOptions { speculation, ..EngineOptions::default() });
    let request = exactly(40, Prompt::Tokens(tokens(3, 8).repeat(4))).with_speculation(Speculation::Fixed(4));
    let usage = ask(&engine, request).unwrap().finished.usage.speculation;
    check_idle(&engine); // The last step has been reported.
    let steps = STEPS.lock().unwrap().clone();
    let sum = |value: fn(&Step) -> Option<u64>| steps.iter().map(|step| value(step).unwrap()).sum::<u64>();
    assert_eq!(steps.len(), usage.num_drafts);
    assert_eq!(sum(|step| step.drafted), usage.drafted_tokens as u64);
    assert_eq!(sum(|step| step.accepted), usage.accepted_tokens as u64);
    assert!(usage.accepted_tokens > 0, "{usage:?}");
}
