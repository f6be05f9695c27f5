//! Calls of tools whose arguments follow a JSON schema, or free text that is no call.

use llama_engine::{Tool, ToolCallChoice, ToolCallCount, ToolCallGrammar};
use serde_json::{Value, json};

use super::{GrammarError, json_schema};

const OPEN: &str = "<tool_call>";

/// Bytes of what was written for a tool.
pub(super) fn num_bytes(tool: &Tool) -> usize {
    tool.name.len() + tool.parameters.as_ref().map_or(0, String::len)
}

/// The Lark source of the rules.
pub(super) fn to_lark(rules: &ToolCallGrammar) -> Result<String, GrammarError> {
    if rules.tools.is_empty() {
        return Err(GrammarError::Refused { reason: "calls of tools, but there are none".to_owned() });
    }
    let start = match rules.choice {
        ToolCallChoice::Auto => "TEXT | calls",
        ToolCallChoice::Required => "calls",
    };
    let calls = match rules.count {
        ToolCallCount::Many => "call (\"\\n\" call)*",
        ToolCallCount::One => "call",
    };
    let names: Vec<String> = (0..rules.tools.len()).map(|i| format!("call_{i}")).collect();
    let mut lark = format!("start: {start}\ncalls: {calls}\ncall: {}\n", names.join(" | "));
    for (name, tool) in names.iter().zip(&rules.tools) {
        let open = format!("{OPEN}\n{{\"name\": {}, \"arguments\": ", Value::from(tool.name.as_str()));
        let arguments = match &tool.parameters {
            Some(schema) => json_schema::checked(schema)?,
            None => json_schema::checked(
                &json!({"type": "object", "properties": {}, "additionalProperties": false}).to_string(),
            )?,
        };
        let close = Value::from("}\n</tool_call>");
        lark += &format!(
            "{name}: {} arguments_{name} {close}\narguments_{name}: %json {arguments}\n",
            Value::from(open)
        );
    }
    if rules.choice == ToolCallChoice::Auto {
        lark += &format!("TEXT: /{}/\n", not_beginning_with(OPEN));
    }
    Ok(lark)
}

/// A pattern of all texts but those that begin with `word`, which has no character that is special in a pattern's set.
fn not_beginning_with(word: &str) -> String {
    word.chars().rev().fold(String::new(), |rest, character| {
        let here = format!("[^{character}](?s:.*)");
        if rest.is_empty() { format!("(?:{here})?") } else { format!("(?:{here}|{character}{rest})?") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_begin_like_a_call_are_told_from_calls() {
        assert_eq!(not_beginning_with("ab"), "(?:[^a](?s:.*)|a(?:[^b](?s:.*))?)?");
    }
}
