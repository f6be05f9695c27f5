//! Visits every schema inside a schema that is in force.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    super::GrammarError,
    ecma, formats,
    keywords::{Draft, Keyword},
};

type Members = Map<String, Value>;

/// A schema that can be honoured, as the engine shall read it.
pub(super) struct Checked {
    pub(super) schema: Value,
    /// Whether a name outside of its properties could be another spelling of one of them.
    pub(super) has_open_names: bool,
}

/// Checks a schema and rewrites it for the engine.
pub(super) fn walk(schema: Value) -> Result<Checked, GrammarError> {
    let schema = match schema {
        Value::Bool(true) => json!({}),
        Value::Object(members) => Value::Object(members),
        Value::Bool(false) => return Err(refused("", "it allows nothing")),
        _ => return Err(refused("", "a schema is an object or a boolean")),
    };
    let draft =
        Draft::of(&schema).ok_or_else(|| refused("/$schema", "only drafts 2020-12 and 7 are supported"))?;
    let checked = Checked { schema, has_open_names: false };
    let mut walker = Walker { draft, checked, pending: Vec::new(), seen: BTreeSet::new() };
    walker.push(Place::root());
    while let Some(place) = walker.pending.pop() {
        walker.visit(&place)?;
    }
    Ok(walker.checked)
}

fn refused(pointer: &str, reason: impl Into<String>) -> GrammarError {
    GrammarError::Schema { pointer: pointer.to_owned(), reason: reason.into() }
}

struct Walker {
    draft: Draft,
    checked: Checked,
    pending: Vec<Place>,
    seen: BTreeSet<String>,
}

/// Where a schema stands.
#[derive(Clone)]
struct Place {
    /// In the schema as it is now.
    pointer: String,
    /// In the schema as it was written.
    shown: String,
}

impl Place {
    fn root() -> Self {
        Self { pointer: String::new(), shown: String::new() }
    }

    fn child(&self, name: &str) -> Self {
        self.renamed_child(name, name)
    }

    fn renamed_child(&self, name: &str, shown: &str) -> Self {
        Self {
            pointer: format!("{}/{}", self.pointer, escaped(name)),
            shown: format!("{}/{}", self.shown, escaped(shown)),
        }
    }

    fn refused(&self, reason: impl Into<String>) -> GrammarError {
        refused(&self.shown, reason)
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl Walker {
    fn push(&mut self, place: Place) {
        if self.seen.insert(place.pointer.clone()) {
            self.pending.push(place);
        }
    }

    fn visit(&mut self, place: &Place) -> Result<(), GrammarError> {
        let written = self.checked.schema.pointer_mut(&place.pointer).map(Value::take).unwrap_or_default();
        let schema = match written {
            Value::Object(members) => Value::Object(self.members(place, members)?),
            Value::Bool(_) => written,
            _ => return Err(place.refused("a schema is an object or a boolean")),
        };
        if let Some(target) = self.checked.schema.pointer_mut(&place.pointer) {
            *target = schema;
        }
        Ok(())
    }

    fn members(&mut self, place: &Place, mut members: Members) -> Result<Members, GrammarError> {
        // In draft 7 a reference stands for the whole schema.
        if self.draft == Draft::Draft7 && members.contains_key("$ref") {
            members.retain(|name, _| matches!(name.as_str(), "$ref" | "$defs" | "definitions" | "$schema"));
        }
        check_min_properties(place, &members)?;
        let has_names = members.contains_key("properties") || members.contains_key("required");
        let is_closed = members.get("additionalProperties") == Some(&Value::Bool(false));
        self.checked.has_open_names |= has_names && !is_closed || members.contains_key("patternProperties");
        let mut patterns = Vec::new();
        let mut kept = Members::new();
        for (name, value) in members {
            let at = place.child(&name);
            if let Some(value) = self.member((&name, value), &at, &mut patterns)? {
                kept.insert(name, value);
            }
        }
        add_patterns(&mut kept, patterns);
        Ok(kept)
    }

    /// One keyword; `None` leaves it out.
    fn member(
        &mut self,
        (name, value): (&str, Value),
        at: &Place,
        patterns: &mut Vec<String>,
    ) -> Result<Option<Value>, GrammarError> {
        match Keyword::of(name, self.draft) {
            Keyword::Annotation | Keyword::Definitions => return Ok(Some(value)),
            Keyword::Ignored => return Ok(None),
            Keyword::Unsupported if name == "uniqueItems" && value == Value::Bool(false) => return Ok(None),
            Keyword::Unsupported => return Err(at.refused(format!("{name:?} is not supported"))),
            Keyword::Unknown => return Err(at.refused(format!("{name:?} is no keyword of JSON Schema"))),
            Keyword::Assertion if value.is_boolean() && name.starts_with("exclusive") => {
                return Err(at.refused("a boolean is draft 4's, expected a number"));
            }
            Keyword::Assertion => check_texts(&value, at)?,
            Keyword::Count => return whole_number(value, at).map(Some),
            Keyword::Schema => self.push(at.clone()),
            Keyword::Items => match (&value, self.draft) {
                (Value::Array(items), Draft::Draft7) => self.push_items(items.len(), at),
                (Value::Array(_), Draft::Draft2020) => {
                    return Err(at.refused("a list is draft 7's, use prefixItems"));
                }
                _ => self.push(at.clone()),
            },
            Keyword::Schemas => match &value {
                Value::Array(items) => self.push_items(items.len(), at),
                _ => return Err(at.refused("expected a list of schemas")),
            },
            Keyword::SchemasByName => match &value {
                Value::Object(members) => {
                    for name in members.keys() {
                        check_text(name, &at.child(name))?;
                        self.push(at.child(name));
                    }
                }
                _ => return Err(at.refused("expected schemas by name")),
            },
            Keyword::PatternProperties => return self.pattern_properties(value, at).map(Some),
            Keyword::Pattern => {
                let pattern = value.as_str().ok_or_else(|| at.refused("expected a string"))?;
                patterns.push(ecma::translate(pattern).map_err(|reason| at.refused(reason))?);
                return Ok(None);
            }
            Keyword::Format => {
                let format = value.as_str().ok_or_else(|| at.refused("expected a string"))?;
                return match formats::of(format) {
                    formats::Format::Engine => Ok(Some(value)),
                    formats::Format::Patterns(found) => {
                        patterns.extend(found);
                        Ok(None)
                    }
                    formats::Format::Unknown => {
                        Err(at.refused(format!("format {format:?} is not supported")))
                    }
                };
            }
            Keyword::Reference => self.reference(&value, at)?,
            Keyword::Id if at.pointer == "/$id" => return Ok(None),
            Keyword::Id => return Err(at.refused("only the whole schema may have an $id")),
        }
        Ok(Some(value))
    }

    fn push_items(&mut self, num_items: usize, at: &Place) {
        (0..num_items).for_each(|item_idx| self.push(at.child(&item_idx.to_string())));
    }

    fn pattern_properties(&mut self, value: Value, at: &Place) -> Result<Value, GrammarError> {
        let Value::Object(members) = value else {
            return Err(at.refused("expected schemas by pattern"));
        };
        let mut translated = Members::new();
        for (pattern, schema) in members {
            let shown = at.child(&pattern);
            let spelled = ecma::translate(&pattern).map_err(|reason| shown.refused(reason))?;
            let place = at.renamed_child(&spelled, &pattern);
            if translated.insert(spelled, schema).is_some() {
                return Err(shown.refused("another pattern matches the same names"));
            }
            self.push(place);
        }
        Ok(Value::Object(translated))
    }

    fn reference(&mut self, value: &Value, at: &Place) -> Result<(), GrammarError> {
        let reference = value.as_str().ok_or_else(|| at.refused("expected a string"))?;
        if reference == "#" {
            self.push(Place::root());
            return Ok(());
        }
        let is_plain = !reference.contains(['~', '%']) && reference.len() > 2;
        let pointer = reference.strip_prefix('#').filter(|pointer| pointer.starts_with('/') && is_plain);
        let Some(pointer) = pointer else {
            return Err(at.refused(format!("{reference:?} is not of the form \"#/...\" with plain names")));
        };
        self.push(Place { pointer: pointer.to_owned(), shown: pointer.to_owned() });
        Ok(())
    }
}

/// Checks that every text in a value can be written.
fn check_texts(value: &Value, at: &Place) -> Result<(), GrammarError> {
    match value {
        Value::String(text) => check_text(text, at),
        Value::Array(items) => items.iter().try_for_each(|item| check_texts(item, at)),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            check_text(name, at)?;
            check_texts(value, at)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn check_text(text: &str, at: &Place) -> Result<(), GrammarError> {
    match text.chars().find(|&c| ecma::is_unwritable(c)) {
        Some(c) => Err(at.refused(format!("the control character {c:?} cannot be written"))),
        None => Ok(()),
    }
}

/// More members than required ones and one more could be the same name twice, which counts as one.
fn check_min_properties(place: &Place, members: &Members) -> Result<(), GrammarError> {
    let least = members.get("minProperties").and_then(Value::as_f64).unwrap_or(0.0);
    let num_required = members.get("required").and_then(Value::as_array).map_or(0, Vec::len);
    if least > (num_required + 1) as f64 {
        let reason =
            format!("at most {} can be asked for beside {num_required} required ones", num_required + 1);
        return Err(place.child("minProperties").refused(reason));
    }
    Ok(())
}

fn whole_number(value: Value, at: &Place) -> Result<Value, GrammarError> {
    let number = value.as_f64().filter(|number| (0.0..=9e15).contains(number) && number.fract() == 0.0);
    let number = number.ok_or_else(|| at.refused("expected a whole number"))?;
    Ok(json!(number as u64))
}

/// Puts patterns that all must match into a schema.
fn add_patterns(members: &mut Members, patterns: Vec<String>) {
    let mut patterns = patterns.into_iter();
    let Some(first) = patterns.next() else {
        return;
    };
    members.insert("pattern".to_owned(), Value::String(first));
    let types = members.get("type").cloned();
    let further = patterns.map(|pattern| match &types {
        Some(types) => json!({ "type": types, "pattern": pattern }),
        None => json!({ "pattern": pattern }),
    });
    let further: Vec<Value> = further.collect();
    if !further.is_empty()
        && let Value::Array(all) = members.entry("allOf").or_insert_with(|| json!([]))
    {
        all.extend(further);
    }
}
