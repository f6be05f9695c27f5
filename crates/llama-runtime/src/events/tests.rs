//! The page and the code say the same, in both directions.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::event_page::{self, Descriptions, documented};

const CODE: &str = include_str!("../events.rs");
const PAGE: &str = include_str!("../events.md");

/// Emits every event, with all its fields and with as few as there can be.
fn emit_all() {
    let timings = Timings { total: Duration::from_secs(1), ..Timings::default() };
    let energy = JoulesPerToken { prefill: Some(1.0), decode: Some(1.0) };
    let usage = |completion_tokens| Usage { completion_tokens, ..Usage::default() };
    request_finished(&FinishReason::EndOfText, &usage(2), &timings, &energy);
    request_finished(&FinishReason::MaxTokens, &usage(1), &timings, &JoulesPerToken::default());
    request_failed(&EngineError::Stopped);
    embed_finished(1, 2, Duration::from_millis(3));
    embed_failed(&EngineError::Stopped);
    step_finished(&StepTokens::default(), Duration::from_millis(3));
    kv_usage(&EngineStats {
        cache: llama_kv::BlockPool::new(1, 1).stats(),
        num_running: 0,
        num_waiting: 0,
        num_queued: 0,
        num_pins: 0,
        num_preemptions: 0,
    });
    grammar_mask(Duration::from_micros(3));
    speculation_step(2, 1);
    drafter_failed("draft", &"reason");
    power_sample(PowerSource::Rapl, (1.0, 2.0), [0.0; 3]);
    power_unavailable(&"reason");
}

/// What the code emits.
fn emitted() -> Descriptions {
    event_page::emitted("llama_runtime::events", emit_all)
}

#[test]
fn page_and_code_agree() {
    assert_eq!(documented(PAGE), emitted());
}

#[test]
fn a_page_that_lacks_or_invents_something_is_noticed() {
    let changes = [
        ("### `embed.finished`: info", "### `embed.finished`: debug"),
        ("### `grammar.mask`", "### `grammar.masks`"),
        ("| `drafted` | u64", "| `drafted` | f64"),
        ("| `tps` | f64, optional", "| `tps` | f64"),
        ("| `texts` | u64", "| `num_texts` | u64"),
        ("| `mask_us` | f64 | µs |", "mask_us"),
    ];
    for (old, new) in changes {
        assert!(PAGE.contains(old), "{old}");
        assert_ne!(documented(&PAGE.replace(old, new)), emitted(), "{new}");
    }
}

#[test]
fn every_event_of_the_code_is_emitted_above() {
    let names = CODE.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next());
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    assert_eq!(names, emitted().into_keys().collect());
}

#[test]
fn events_are_here_and_nowhere_else() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src.clone()];
    let mut offenders: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("tests") || path.ends_with("tests.rs") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path != src.join("events.rs") && fs::read_to_string(&path).unwrap().lines().any(emits) {
                offenders.push(path);
            }
        }
    }
    assert!(offenders.is_empty(), "events belong to events.rs, not to {offenders:?}");
}

/// Whether a line of code reaches for the crate that events are made with.
fn emits(line: &str) -> bool {
    line.contains("tracing::") && !line.trim_start().starts_with("//")
}
