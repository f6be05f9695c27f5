//! What a page of events says, and what code emits, to be compared. Shared by the crates that have such a page.

use std::collections::BTreeMap;

use crate::recording::{Recorder, Value};

/// An event as page and code describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    level: String,
    /// Type, and whether the field may be left out.
    fields: BTreeMap<String, (String, bool)>,
}

pub(crate) type Descriptions = BTreeMap<String, Description>;

/// What code emits under a target.
pub(crate) fn emitted(target: &str, emit_all: impl FnOnce()) -> Descriptions {
    let recorder = Recorder::default();
    tracing::subscriber::with_default(recorder.listener(), emit_all);
    let emissions = recorder.all();
    let mut descriptions = Descriptions::new();
    for event in &emissions {
        assert_eq!(event.metadata.target(), target);
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
pub(crate) fn documented(page: &str) -> Descriptions {
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
