//! `grammar.mask` comes once for each step that chooses a token, which are as many as were not forced.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use llama_engine::{GenerateRequest, Grammar};
use llama_runtime::EngineOptions;
use support::{ask, bard, check_idle};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

static NUM_MASKS: AtomicUsize = AtomicUsize::new(0);
static NUM_STEPS: AtomicUsize = AtomicUsize::new(0);

/// Counts events.
struct Counter;

struct MaskMicros(Option<f64>);

impl Visit for MaskMicros {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "mask_us" {
            self.0 = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for Counter {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        match event.metadata().name() {
            "grammar.mask" => {
                let mut micros = MaskMicros(None);
                event.record(&mut micros);
                assert!(micros.0.unwrap() > 0.0, "a mask takes time");
                NUM_MASKS.fetch_add(1, Ordering::SeqCst);
            }
            "kv.usage" => drop(NUM_STEPS.fetch_add(1, Ordering::SeqCst)),
            _ => {}
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
fn forced_tokens_take_no_steps() {
    tracing::subscriber::set_global_default(Counter).unwrap();
    let engine = bard(EngineOptions::default());
    let source =
        "root ::= \"The question is: \" (\"to be\" | \"not to be\") \", or so they say.\"".to_owned();
    let request = GenerateRequest::new("HAMLET.\n").with_grammar(Grammar::Gbnf(source));
    let answer = ask(&engine, request).unwrap();
    let usage = answer.finished.usage;
    let num_chosen = usage.completion_tokens - usage.forced_tokens;
    check_idle(&engine); // The last step has been reported.
    assert_eq!(NUM_MASKS.load(Ordering::SeqCst), num_chosen, "{usage:?}");
    assert_eq!(NUM_STEPS.load(Ordering::SeqCst), num_chosen, "{usage:?}");
    assert!(usage.forced_tokens > 2 * num_chosen, "{usage:?} for {:?}", answer.text);
}
