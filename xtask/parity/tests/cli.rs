//! The program as people run it.

use std::process::{Command, Output};

fn parity(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_llama-parity")).args(arguments).output().expect("the program starts")
}

fn check(arguments: &[&str], is_success: bool, expected: &str) {
    let Output { status, stdout, stderr } = parity(arguments);
    let text = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    assert_eq!(status.success(), is_success, "{text}");
    assert!(text.contains(expected), "{text}");
}

/// A case as a failure prints it.
fn job(property: &str, case: &str) -> String {
    format!(r#"{{"property":"{property}","dtype":"f32","order_seed":1,"case":{case}}}"#)
}

#[test]
fn every_operation_runs_on_its_path() {
    check(&["--cases", "2"], true, "26 cases, 0 of 13 rows failed");
    check(&["--cases", "5", "--only", "rope"], true, "| rope | f32 | 5 |");
    check(&["--cases", "3", "--only", "kv_write"], true, "kv_write/cpu 3 | ok |");
}

#[test]
fn a_case_can_be_run_again() {
    let fill = |seed| format!(r#"{{"magnitude":"Unit","seed":{seed}}}"#);
    let case = format!(r#"{{"t":3,"width":40,"x":{},"y":{}}}"#, fill(1), fill(2));
    check(&["--replay", &job("residual", &case)], true, "passes");
}

#[test]
fn what_panics_or_is_no_case_fails_by_itself() {
    let fill = r#"{"magnitude":"Unit","seed":1}"#;
    let absurd = format!(r#"{{"t":4611686018427387904,"width":40,"x":{fill},"y":{fill}}}"#);
    check(&["--replay", &job("residual", &absurd)], false, "panic: ");
    check(&["--replay", &job("residual", "{}")], false, "missing field");
    check(&["--replay", &job("nothing", "{}")], false, "no property nothing");
    check(&["--replay", "x"], false, "not a case that a failure printed");
}

#[test]
fn unknown_names_say_what_is_known() {
    check(&["--only", "roep"], false, "no property \"roep\"; there are embed, rms_norm");
    check(&["--device", "gpu"], false, "expected auto, cpu, metal");
    check(&["--cases", "0"], false, "no cases to run");
}

#[test]
fn the_report_is_a_page_and_data() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().to_str().expect("a plain path");
    check(&["--cases", "2", "--only", "swiglu", "--report", path], true, "swiglu/cpu 2");
    let read = |name| std::fs::read_to_string(folder.path().join(name)).expect("it was written");
    let data: serde_json::Value = serde_json::from_str(&read("report.json")).expect("it is JSON");
    assert_eq!(data["findings"][0]["property"], "swiglu");
    assert_eq!(data["findings"][0]["dispatches"]["swiglu/cpu"], 2);
    let page = read("report.html");
    assert!(page.contains("<svg") && page.contains("swiglu f32"), "{page}");
}
