//! The JSON-Schema-Test-Suite: a schema is honoured exactly, or refused with a reason, and never anything else.
//!
//! An instance passes if one of its spellings is a whole text of the schema's grammar: the order of keys follows the schema, and a number may be
//! written as 1, 1.0 or 1e0. A valid instance must have such a spelling, an invalid one must have none.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use flate2::read::GzDecoder;
use llama_engine::Grammar;
use llama_sampling::{Constraint, GrammarCompiler, GrammarError};
use serde_json::{Value, json};
use support::{bytes_compiler, check};

/// Counts of tests: groups count with each of their instances.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    passed: usize,
    refused: usize,
    wrong: usize,
}

fn suite() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/json_schema_suite.json.gz");
    let mut text = String::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Reads a value from here in every way that can be written; returns where that leads.
fn read(from: &Constraint, value: &Value) -> Vec<Constraint> {
    match value {
        Value::Number(number) => {
            let mut texts = vec![number.to_string()];
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0) {
                texts.extend([format!("{float:.0}"), format!("{float:.1}")]);
            }
            texts.sort();
            texts.dedup();
            texts.iter().filter_map(|text| read_text(from, text)).collect()
        }
        Value::Array(items) => {
            let mut reached: Vec<Constraint> = read_text(from, "[").into_iter().collect();
            for (item_idx, item) in items.iter().enumerate() {
                let comma = if item_idx > 0 { ", " } else { "" };
                let next = reached.iter().filter_map(|from| read_text(from, comma));
                reached = next.flat_map(|from| read(&from, item)).collect();
            }
            reached.iter().filter_map(|from| read_text(from, "]")).collect()
        }
        Value::Object(members) => {
            let members: Vec<(&String, &Value)> = members.iter().collect();
            read_text(from, "{").map_or_else(Vec::new, |from| read_members(&from, &members, ""))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {
            read_text(from, &value.to_string()).into_iter().collect()
        }
    }
}

/// Reads the members in every order.
fn read_members(from: &Constraint, members: &[(&String, &Value)], comma: &str) -> Vec<Constraint> {
    if members.is_empty() {
        return read_text(from, "}").into_iter().collect();
    }
    let starting_with = |first: usize| {
        let mut rest = members.to_vec();
        let (key, value) = rest.remove(first);
        let key = format!("{comma}{}: ", Value::String(key.clone()));
        let after = read_text(from, &key).map_or_else(Vec::new, |from| read(&from, value));
        after.into_iter().flat_map(move |from| read_members(&from, &rest, ", ")).collect::<Vec<_>>()
    };
    (0..members.len()).flat_map(starting_with).collect()
}

fn read_text(from: &Constraint, text: &str) -> Option<Constraint> {
    let mut constraint = from.clone();
    text.bytes().all(|byte| constraint.accept(u32::from(byte)).is_ok()).then_some(constraint)
}

fn schema_text(draft: &str, schema: &Value) -> String {
    let mut schema = schema.clone();
    if let (Value::Object(members), "draft7") = (&mut schema, draft) {
        members.entry("$schema").or_insert(json!("http://json-schema.org/draft-07/schema#"));
    }
    schema.to_string()
}

/// Runs the tests of one file; says what is wrong, and counts why schemas are refused.
fn run_file(
    compiler: &GrammarCompiler,
    (draft, file): (&str, &str),
    groups: &Value,
    reasons: &mut BTreeMap<String, usize>,
) -> (Counts, Vec<String>) {
    let (mut counts, mut wrong) = (Counts::default(), Vec::new());
    for group in groups.as_array().unwrap() {
        let tests = group["tests"].as_array().unwrap();
        let source = Grammar::JsonSchema(schema_text(draft, &group["schema"]));
        let constraint = match compiler.compile(&source) {
            Ok(constraint) => constraint,
            Err(error) => {
                counts.refused += tests.len();
                let reason = match error {
                    GrammarError::Schema { reason, .. } => reason,
                    error => error.to_string(),
                };
                *reasons.entry(reason.chars().take(90).collect()).or_default() += tests.len();
                continue;
            }
        };
        for test in tests {
            let is_valid = test["valid"].as_bool().unwrap();
            // What `format` means is ours to choose: it is an assertion, which the optional tests check.
            if test["description"].as_str().unwrap().ends_with("is only an annotation by default") {
                continue;
            }
            let found = read(&constraint, &test["data"]).iter_mut().any(Constraint::may_end);
            if found == is_valid {
                counts.passed += 1;
                continue;
            }
            counts.wrong += 1;
            let (group, test_name) = (&group["description"], &test["description"]);
            let schema = schema_text(
                draft,
                &groups.as_array().unwrap().iter().find(|g| g["description"] == *group).unwrap()["schema"],
            );
            wrong.push(format!(
                "{draft}/{file} {group} {test_name}: {} is {}valid\n    {schema}",
                test["data"],
                if is_valid { "" } else { "in" }
            ));
        }
    }
    (counts, wrong)
}

#[test]
fn the_suite_has_no_wrong_case() {
    let (suite, compiler) = (suite(), bytes_compiler());
    let (mut all_wrong, mut reasons) = (Vec::new(), BTreeMap::new());
    let mut totals = BTreeMap::new();
    for (draft, files) in suite["drafts"].as_object().unwrap() {
        for (file, groups) in files.as_object().unwrap() {
            let (counts, wrong) = run_file(&compiler, (draft, file), groups, &mut reasons);
            println!("{:6} {:6} {:6}  {draft}/{file}", counts.passed, counts.refused, counts.wrong);
            let part = if file.starts_with("optional/") { "optional" } else { "required" };
            let total: &mut Counts = totals.entry((draft.clone(), part)).or_default();
            total.passed += counts.passed;
            total.refused += counts.refused;
            total.wrong += counts.wrong;
            all_wrong.extend(wrong);
        }
    }
    println!("{totals:#?}\nrefused because:");
    reasons.iter().for_each(|(reason, number)| println!("{number:6}  {reason}"));
    assert!(all_wrong.is_empty(), "{} wrong:\n{}", all_wrong.len(), all_wrong.join("\n"));
    // As the documentation of the module says.
    let expected = [
        (("draft2020-12", "optional"), 386, 263),
        (("draft2020-12", "required"), 575, 672),
        (("draft7", "optional"), 326, 226),
        (("draft7", "required"), 553, 360),
    ];
    for ((draft, part), passed, refused) in expected {
        assert_eq!(totals[&(draft.to_owned(), part)], Counts { passed, refused, wrong: 0 }, "{draft} {part}");
    }
}

fn compile(schema: &Value) -> Result<Constraint, GrammarError> {
    bytes_compiler().compile(&Grammar::JsonSchema(schema.to_string()))
}

#[test]
fn no_property_hides_behind_another_spelling() {
    let schema = compile(&json!({ "properties": { "a": { "type": "integer" } } })).unwrap();
    check(
        &schema,
        &[r#"{"a": 1}"#, r#"{"a": 1, "b": "x"}"#, "{}"],
        &[r#"{"a": "x"}"#, r#"{"\u0061": "x"}"#, r#"{"a": 1, "a": 2}"#],
    );
}

#[test]
fn refusals_name_the_keyword() {
    let check = |schema: Value, pointer: &str, reason: &str| match compile(&schema) {
        Err(GrammarError::Schema { pointer: found, reason: found_reason }) => {
            assert_eq!(found, pointer);
            assert!(found_reason.contains(reason), "{found_reason}, expected {reason}");
        }
        other => panic!("{other:?} for {schema}"),
    };
    check(json!({ "properties": { "a/b": { "not": {} } } }), "/properties/a~1b/not", "not supported");
    check(json!({ "anyOf": [true, { "minimun": 3 }] }), "/anyOf/1/minimun", "no keyword");
    check(json!({ "patternProperties": { "^a(?=b)": {} } }), "/patternProperties/^a(?=b)", "lookaround");
    check(
        json!({ "patternProperties": { "a.": { "format": "iri" } } }),
        "/patternProperties/a./format",
        "iri",
    );
    check(
        json!({ "$ref": "#/$defs/x", "$defs": { "x": { "uniqueItems": true }, "y": { "not": {} } } }),
        "/$defs/x/uniqueItems",
        "",
    );
    check(json!({ "$ref": "other.json" }), "/$ref", "other.json");
    check(json!({ "minProperties": 2 }), "/minProperties", "at most 1");
    check(json!({ "type": "array", "items": [{}] }), "/items", "prefixItems");
    check(json!({ "const": "\u{1}" }), "/const", "control character");
    check(json!({ "$schema": "http://json-schema.org/draft-04/schema#" }), "/$schema", "only drafts");
    check(json!(false), "", "allows nothing");
    // What would loosen the engine is not the schema's to say.
    check(json!({ "x-guidance": { "lenient": true }, "not": {} }), "/not", "not supported");
    let error = bytes_compiler().compile(&Grammar::JsonSchema("{\n  \"a\" 1}".to_owned())).unwrap_err();
    assert_eq!(error.position().map(|at| (at.line, at.column)), Some((2, 7)), "{error}");
}
