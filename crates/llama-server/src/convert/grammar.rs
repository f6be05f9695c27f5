//! What answers have to look like.

use llama_engine::{CitationGrammar, GenerateRequest, Grammar, RequiredCitations};
use llama_openai::{ChatInput, GrammarField, ResponseFormat, ToolChoice, ToolMode};

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
    let format = match input.response_format.take() {
        None | Some(ResponseFormat::Text) => None,
        Some(ResponseFormat::JsonObject) => Some(r#"{"type": "object"}"#.to_owned()),
        Some(ResponseFormat::JsonSchema { json_schema }) => Some(json_schema.schema.to_string()),
    };
    if let Some(schema) = format {
        if request.grammar.is_some() {
            return Err(ApiError::invalid("response_format", "given together with `grammar`"));
        }
        request.grammar = Some(Grammar::JsonSchema(schema));
    }
    let has_tools = input.tools.as_ref().is_some_and(|tools| !tools.is_empty());
    match input.tool_choice {
        Some(ToolChoice::Mode(ToolMode::None)) => Ok(()),
        _ if has_tools => Err(ApiError::unsupported("tools", "calls")),
        _ => Ok(()),
    }
}
