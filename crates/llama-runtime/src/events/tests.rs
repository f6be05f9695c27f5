//! The page and the code say the same, in both directions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::recording::{Recorder, Value};

const CODE: &str = include_str!("../events.rs");
const PAGE: &str = include_str!("../events.md");

/// An event as page and code describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Description {
    level: String,
    /// Type, and whether the field may be left out.
    fields: BTreeMap<String, (String, bool)>,
}

type Descriptions = BTreeMap<String, Description>;

/// Emits every event, with all its fields and with as few as there can be.
fn emit_all() {
    let timings = Timings { total: Duration::from_secs(1), ..Timings::default() };
    let energy = JoulesPerToken { prefill: Some(1.0), decode: Some(1.0) };
    let usage = |completion_tokens| Usage { completion_tokens, ..Usage::default() };
    request_finished(&FinishReason::EndOfText, &usage(2), &timings, &energy);
    request_finished(&FinishReason::MaxTokens, &usage(1), &timings, &JoulesPerToken::default());
    request_failed(&EngineError::Stopped);
    embed_finished(1, 2, Duration::from_millis(3));
    step_finished(&StepTokens::default(), Duration::from_millis(3));
    kv_usage(|| EngineStats {
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
    let recorder = Recorder::default();
    tracing::subscriber::with_default(recorder.listener(), emit_all);
    let emissions = recorder.all();
    let mut descriptions = Descriptions::new();
    for event in &emissions {
        assert_eq!(event.metadata.target(), "llama_runtime::events");
        let name = event.metadata.name();
        let description = descriptions.entry(name.to_owned()).or_default();
        description.level = event.metadata.level().to_string().to_lowercase();
        let named = || emissions.iter().filter(|other| other.metadata.name() == name);
        for field in
            event.metadata.fields().iter().map(|field| field.name()).filter(|field| *field != "message")
        {
            let kind = named().find_map(|event| event.values.get(field)).map(kind);
            let kind = kind.expect("each field has a value in some emission");
            let is_optional = named().any(|event| !event.values.contains_key(field));
            description.fields.insert(field.to_owned(), (kind.to_owned(), is_optional));
        }
    }
    descriptions
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::F64(_) => "f64",
        Value::U64(_) => "u64",
        Value::I64(_) => "i64",
        Value::Bool(_) => "bool",
        Value::Str(_) => "str",
        Value::Text(_) => "text",
    }
}

/// What the page says: a heading "name: level" for each event, and a row for each field.
fn documented(page: &str) -> Descriptions {
    let mut descriptions = Descriptions::new();
    let mut name = String::new();
    for line in page.lines() {
        if let Some((event, level)) = line.strip_prefix("### `").and_then(|line| line.split_once("`: ")) {
            name = event.to_owned();
            let description = Description { level: level.to_owned(), ..Description::default() };
            assert!(descriptions.insert(name.clone(), description).is_none(), "{name} is there twice");
        } else if line.starts_with("| `") {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [field, kind, unit, meaning] = cells[..] else { panic!("not four cells: {line}") };
            assert!(!meaning.is_empty(), "no meaning: {line}");
            assert!(
                !unit.is_empty() || kind.starts_with("str") || kind.starts_with("text"),
                "no unit: {line}"
            );
            let (kind, is_optional) = match kind.split_once(", ") {
                Some((kind, "optional")) => (kind, true),
                _ => (kind, false),
            };
            let fields = &mut descriptions.get_mut(&name).expect("a heading comes first").fields;
            let field = field.trim_matches('`').to_owned();
            assert!(fields.insert(field, (kind.to_owned(), is_optional)).is_none(), "twice: {line}");
        }
    }
    descriptions
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
