//! What answers have to look like.

use llama_engine::{
    CitationGrammar, GenerateRequest, Grammar, RequiredCitations, ToolCallChoice, ToolCallCount,
    ToolCallGrammar,
};
use llama_openai::{ChatInput, GrammarField, NamedTool, ResponseFormat, Tool, ToolChoice, ToolMode};

use crate::error::ApiError;

pub(crate) fn grammar(field: GrammarField) -> Grammar {
    use llama_openai::{Grammar as Wire, RequiredCitations as Required};
    match field {
        GrammarField::Gbnf(grammar) | GrammarField::Kind(Wire::Gbnf { grammar }) => Grammar::Gbnf(grammar),
        GrammarField::Kind(Wire::JsonSchema { schema }) => Grammar::JsonSchema(schema),
        GrammarField::Kind(Wire::Regex { regex }) => Grammar::Regex(regex),
        GrammarField::Kind(Wire::Lark { grammar }) => Grammar::Lark(grammar),
        GrammarField::Kind(Wire::Choice { choices }) => Grammar::Choice(choices),
        GrammarField::Kind(Wire::Citations { ids, required }) => Grammar::Citations(CitationGrammar {
            ids,
            required: match required {
                Required::None => RequiredCitations::None,
                Required::PerAnswer => RequiredCitations::PerAnswer,
                Required::PerSentence => RequiredCitations::PerSentence,
            },
        }),
    }
}

/// Holds an answer to what the fields of a chat ask for.
pub(crate) fn constrain(request: &mut GenerateRequest, input: &mut ChatInput) -> Result<(), ApiError> {
    let calls = calls(input)?;
    let format = match input.response_format.take() {
        None | Some(ResponseFormat::Text) => None,
        Some(ResponseFormat::JsonObject) => Some(r#"{"type": "object"}"#.to_owned()),
        Some(ResponseFormat::JsonSchema { json_schema }) => Some(json_schema.schema.to_string()),
    };
    let format = format.map(|schema| ("response_format", Grammar::JsonSchema(schema)));
    for (field, grammar) in format.into_iter().chain(calls.map(|calls| ("tools", Grammar::ToolCalls(calls))))
    {
        if request.grammar.is_some() {
            return Err(ApiError::invalid(
                field,
                "together with another field that says what the answer looks like",
            ));
        }
        request.grammar = Some(grammar);
    }
    Ok(())
}

/// The calls that an answer may have.
fn calls(input: &ChatInput) -> Result<Option<ToolCallGrammar>, ApiError> {
    let tools = input.tools.as_deref().unwrap_or_default();
    for (i, Tool::Function { function }) in tools.iter().enumerate() {
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
        if function.name.is_empty() || !function.name.chars().all(is_plain) {
            let reason = "expected letters, digits, `_`, `-` and `.`";
            return Err(ApiError::invalid(&format!("tools[{i}].function.name"), reason));
        }
    }
    let named = |name: &String| {
        tools.iter().filter(|Tool::Function { function }| function.name == *name).cloned().collect()
    };
    let (callable, choice): (Vec<Tool>, _) = match &input.tool_choice {
        Some(ToolChoice::Mode(ToolMode::None)) => return Ok(None),
        Some(ToolChoice::Mode(ToolMode::Required)) => (tools.to_vec(), ToolCallChoice::Required),
        Some(ToolChoice::Named(NamedTool::Function { function })) => {
            (named(&function.name), ToolCallChoice::Required)
        }
        None | Some(ToolChoice::Mode(ToolMode::Auto)) if tools.is_empty() => return Ok(None),
        None | Some(ToolChoice::Mode(ToolMode::Auto)) => (tools.to_vec(), ToolCallChoice::Auto),
    };
    if callable.is_empty() {
        return Err(ApiError::invalid("tool_choice", "there is no such tool"));
    }
    let is_named = matches!(input.tool_choice, Some(ToolChoice::Named(_)));
    let is_single = is_named || input.parallel_tool_calls == Some(false);
    let count = if is_single { ToolCallCount::One } else { ToolCallCount::Many };
    let tools = callable.into_iter().map(super::prompt::tool).collect();
    Ok(Some(ToolCallGrammar { tools, choice, count }))
}
