//! Calls of tools, and texts that are none.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use llama_engine::{Grammar, Tool, ToolCallChoice, ToolCallCount, ToolCallGrammar};
use llama_sampling::{Constraint, GrammarError};
use support::{bytes_compiler, check};

fn tool(name: &str, parameters: Option<&str>) -> Tool {
    Tool { name: name.to_owned(), description: None, parameters: parameters.map(str::to_owned) }
}

fn compile(choice: ToolCallChoice, count: ToolCallCount) -> Constraint {
    let schema = r#"{"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city"], "additionalProperties": false}"#;
    let tools = vec![tool("weather", Some(schema)), tool("time", None)];
    bytes_compiler().compile(&Grammar::ToolCalls(ToolCallGrammar { tools, choice, count })).unwrap()
}

fn call(name: &str, arguments: &str) -> String {
    format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>")
}

#[test]
fn arguments_follow_their_schemas() {
    let weather = call("weather", "{\"city\": \"Elsinore\", \"days\": 3}");
    let (short, time) = (call("weather", "{\"city\": \"\"}"), call("time", "{}"));
    let two = format!("{weather}\n{time}");
    let wrong = [
        call("weather", "{\"days\": 3}"),
        call("weather", "{\"city\": 3}"),
        call("weather", "{\"city\": \"a\", \"days\": 0}"),
        call("time", "{\"city\": \"a\"}"),
        call("king", "{}"),
        format!("{weather}\n"),
        format!("{weather} and"),
        format!("{weather}{time}"),
    ];
    let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
    let required = compile(ToolCallChoice::Required, ToolCallCount::Many);
    check(&required, &[&weather, &short, &time, &two], &wrong);
    check(&required, &[], &["", "Fair.", "<tool_call>"]);
    let one = compile(ToolCallChoice::Required, ToolCallCount::One);
    check(&one, &[&weather, &time], &[&two]);
    let auto = compile(ToolCallChoice::Auto, ToolCallCount::Many);
    check(
        &auto,
        &[&weather, &two, "", "Fair.", "<", "<tool_cal", "<p>", "<tool_calm> é\n\nit is", "\n<"],
        &wrong,
    );
    check(&auto, &[], &["<tool_call>", "<tool_call> x", "<tool_call>\n{}\n</tool_call>"]);
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    let check = |tools: Vec<Tool>| {
        let (choice, count) = (ToolCallChoice::Auto, ToolCallCount::Many);
        let refused = bytes_compiler().compile(&Grammar::ToolCalls(ToolCallGrammar { tools, choice, count }));
        assert!(
            matches!(
                refused,
                Err(GrammarError::Refused { .. } | GrammarError::Schema { .. } | GrammarError::Syntax { .. })
            ),
            "{refused:?}"
        );
    };
    check(Vec::new());
    check(vec![tool("a", Some("{"))]);
    check(vec![tool("a", Some(r#"{"type": "array", "uniqueItems": true}"#))]);
}
