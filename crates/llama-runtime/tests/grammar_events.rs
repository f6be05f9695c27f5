//! `grammar.mask` comes once for each step that chooses a token, which are as many as were not forced.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use llama_engine::{GenerateRequest, Grammar};
use llama_runtime::EngineOptions;
use support::{ask, bard, check_idle, events::Recorder};

#[test]
fn forced_tokens_take_no_steps() {
    let recorder = Recorder::install();
    let engine = bard(EngineOptions::default());
    let source =
        "root ::= \"The question is: \" (\"to be\" | \"not to be\") \", or so they say.\"".to_owned();
    let request = GenerateRequest::new("HAMLET.\n").with_grammar(Grammar::Gbnf(source));
    let answer = ask(&engine, request).unwrap();
    let usage = answer.finished.usage;
    let num_chosen = usage.completion_tokens - usage.forced_tokens;
    check_idle(&engine); // The last step has been reported.
    let masks = recorder.named("grammar.mask");
    assert!(masks.iter().all(|mask| mask.f64("mask_us").unwrap() > 0.0), "a mask takes time");
    assert_eq!(masks.len(), num_chosen, "{usage:?}");
    assert_eq!(recorder.named("step.finished").len(), num_chosen, "{usage:?}");
    assert!(usage.forced_tokens > 2 * num_chosen, "{usage:?} for {:?}", answer.text);
}
