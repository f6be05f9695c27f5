//! rig's requests as the engine's.

use llama_engine::{Conversation, GenerateRequest, Grammar, Message, Tool, ToolCall};
use rig_core::{
    completion::{CompletionRequest, ToolDefinition},
    message::{self, AssistantContent, ToolChoice, ToolResultContent, UserContent},
};
use serde_json::{Value, json};

use super::{Refusal, calls::Calls};
use crate::adapters::PromptForm;

/// A request of rig's on top of `options`, and how its answer is to be read.
pub(super) fn encode(
    request: CompletionRequest,
    form: PromptForm,
    options: GenerateRequest,
) -> Result<(GenerateRequest, Calls), Refusal> {
    if let Some(parameters) = request.additional_params.as_ref().filter(|parameters| !is_empty(parameters)) {
        return Err(Refusal::AdditionalParameters { names: names(parameters) });
    }
    let choice = request.tool_choice.unwrap_or_default();
    let tools = if choice == ToolChoice::None { Vec::new() } else { request.tools };
    let (grammar, calls) =
        constraint(&choice, &tools, request.output_schema.map(|schema| schema.to_value()))?;
    let conversation = conversation(request.chat_history)?.with_tools(tools.into_iter().map(tool));
    let mut asked = options;
    asked.prompt = form.of_conversation(conversation).ok_or(Refusal::ToolsWithoutTemplate)?;
    asked.grammar = grammar.or(asked.grammar);
    if let Some(len) = request.max_tokens {
        asked.max_tokens = Some(usize::try_from(len).unwrap_or(usize::MAX));
    }
    let sampling = &mut asked.sampling;
    sampling.temperature = request.temperature.map_or(sampling.temperature, |value| value as f32);
    sampling.top_p = request.options.top_p.map(|value| value as f32).or(sampling.top_p);
    sampling.seed = request.options.seed.or(sampling.seed);
    if !request.options.stop.is_empty() {
        asked.stop = request.options.stop;
    }
    Ok((asked, calls))
}

fn is_empty(parameters: &Value) -> bool {
    parameters.is_null() || parameters.as_object().is_some_and(serde_json::Map::is_empty)
}

fn names(parameters: &Value) -> String {
    match parameters.as_object() {
        Some(fields) => fields.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        None => parameters.to_string(),
    }
}

/// What the answer is held to, and how it is to be read.
fn constraint(
    choice: &ToolChoice,
    tools: &[ToolDefinition],
    schema: Option<Value>,
) -> Result<(Option<Grammar>, Calls), Refusal> {
    let (names, any) = match choice {
        ToolChoice::Specific { function_names } => (function_names.as_slice(), false),
        ToolChoice::Required => (&[][..], true),
        ToolChoice::Auto | ToolChoice::None => {
            return match schema {
                Some(_) if !tools.is_empty() => Err(Refusal::SchemaWithTools),
                Some(schema) => Ok((Some(Grammar::JsonSchema(schema.to_string())), Calls::None)),
                None if tools.is_empty() => Ok((None, Calls::None)),
                None => Ok((None, Calls::Marked)),
            };
        }
    };
    if let Some(name) = names.iter().find(|&name| tools.iter().all(|tool| tool.name != *name)) {
        return Err(Refusal::UnknownTool { name: name.to_string() });
    }
    let allowed: Vec<Value> =
        tools.iter().filter(|tool| any || names.contains(&tool.name)).map(call_schema).collect();
    match allowed.as_slice() {
        [] => Err(Refusal::UnknownTool { name: "any".to_owned() }),
        [one] => Ok((Some(Grammar::JsonSchema(one.to_string())), Calls::Whole)),
        _ => Ok((Some(Grammar::JsonSchema(json!({ "anyOf": allowed }).to_string())), Calls::Whole)),
    }
}

/// The schema of a call. Definitions that the parameters refer to are found from the root, so they keep their place only where they
/// stand alone; otherwise the engine refuses the reference.
fn call_schema(tool: &ToolDefinition) -> Value {
    let mut parameters = tool.parameters.clone();
    let definitions = parameters.as_object_mut().and_then(|fields| fields.remove("$defs"));
    let mut schema = json!({
        "type": "object",
        "properties": { "name": { "const": tool.name.as_str() }, "arguments": parameters },
        "required": ["name", "arguments"],
        "additionalProperties": false,
    });
    if let Some(definitions) = definitions {
        schema["$defs"] = definitions;
    }
    schema
}

fn tool(definition: ToolDefinition) -> Tool {
    let ToolDefinition { name, description, parameters } = definition;
    Tool {
        name: name.into(),
        description: Some(description).filter(|text| !text.is_empty()),
        parameters: Some(parameters.to_string()),
    }
}

fn conversation(history: Vec<message::Message>) -> Result<Conversation, Refusal> {
    let mut turns = Vec::with_capacity(history.len());
    for message in history {
        match message {
            message::Message::System { content } => turns.push(Message::system(content)),
            message::Message::User { content } => user_turns(content, &mut turns)?,
            message::Message::Assistant(turn) => turns.push(assistant_turn(turn.content)?),
        }
    }
    Ok(turns.into())
}

/// Texts of a message make one turn; each answer of a tool is a turn of its own.
fn user_turns(parts: Vec<UserContent>, turns: &mut Vec<Message>) -> Result<(), Refusal> {
    let mut texts: Vec<String> = Vec::new();
    for part in parts {
        match part {
            UserContent::Text(text) => texts.push(text.text),
            UserContent::ToolResult(result) => {
                if !texts.is_empty() {
                    turns.push(Message::user(std::mem::take(&mut texts).join("\n")));
                }
                let content = result.content.into_iter().map(result_text).collect::<Result<Vec<_>, _>>()?;
                turns.push(Message::tool(result.call.wire(), content.join("\n")));
            }
            UserContent::Image(_) => return Err(Refusal::Media { what: "an image" }),
            UserContent::Audio(_) => return Err(Refusal::Media { what: "audio" }),
            UserContent::Video(_) => return Err(Refusal::Media { what: "video" }),
            UserContent::Document(_) => return Err(Refusal::Media { what: "a document that is not text" }),
        }
    }
    if !texts.is_empty() {
        turns.push(Message::user(texts.join("\n")));
    }
    Ok(())
}

fn result_text(part: ToolResultContent) -> Result<String, Refusal> {
    match part {
        ToolResultContent::Text(text) => Ok(text.text),
        ToolResultContent::Json { value } => Ok(value.to_string()),
        ToolResultContent::Image(_) => Err(Refusal::Media { what: "an image in a tool's answer" }),
    }
}

/// Reasoning of earlier turns is left out, as chat templates leave it out.
fn assistant_turn(blocks: Vec<AssistantContent>) -> Result<Message, Refusal> {
    let (mut content, mut calls) = (String::new(), Vec::new());
    for block in blocks {
        match block {
            AssistantContent::Text(text) => content.push_str(&text.text),
            AssistantContent::ToolCall(call) => calls.push(ToolCall {
                id: call.id.wire().into_owned(),
                arguments: call.function.arguments_value().to_string(),
                name: call.function.name.into(),
            }),
            AssistantContent::Reasoning(_) | AssistantContent::Opaque(_) => {}
            _ => return Err(Refusal::Media { what: "an image of the assistant's" }),
        }
    }
    Ok(Message::assistant(content).with_tool_calls(calls))
}
