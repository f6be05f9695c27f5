//! Conversations as the model's chat template reads them.
//!
//! A template that knows of tools gets them, calls and answers in the fields that transformers gives it. To one that does not, they are
//! told in the conversation itself, in the form that Qwen2.5 was trained on (after NousResearch's Hermes): nothing that the caller said
//! is left out silently.

use llama_engine::{Conversation, EngineError, Message, Role, Tool, ToolCall};
use llama_tokenizer::{ChatTemplate, GenerationPrompt, Message as TemplateMessage, RenderOptions};
use serde_json::{Map, Value, json};

use crate::engine::{invalid, tokenizer};

/// The text of a conversation, up to where the assistant speaks.
pub(crate) fn render(template: &ChatTemplate, conversation: Conversation) -> Result<String, EngineError> {
    let mut options = RenderOptions::new(GenerationPrompt::Add);
    for (name, value) in conversation.variables {
        options.extra.insert(name, parse("variables", &value)?);
    }
    let tools: Vec<Value> = conversation.tools.iter().map(described).collect::<Result<_, _>>()?;
    let messages = if template.source().contains("tools") {
        if !tools.is_empty() {
            options.extra.insert("tools".to_owned(), Value::Array(tools));
        }
        conversation.messages.into_iter().map(with_fields).collect::<Result<Vec<_>, _>>()?
    } else {
        in_words(conversation.messages, &tools)
    };
    template.render(&messages, &options).map_err(tokenizer)
}

/// A turn with its tool calls as fields, their arguments as values, which is what templates expect.
fn with_fields(message: Message) -> Result<TemplateMessage, EngineError> {
    let has_content = !message.content.is_empty() || message.tool_calls.is_empty();
    let mut extra = Map::new();
    if let Some(name) = message.name {
        extra.insert("name".to_owned(), name.into());
    }
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.into_iter().map(call_fields).collect::<Result<_, _>>()?;
        extra.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    if let Some(id) = message.tool_call_id {
        extra.insert("tool_call_id".to_owned(), id.into());
    }
    let content = has_content.then_some(message.content);
    Ok(TemplateMessage { role: message.role.as_str().to_owned(), content, extra })
}

fn call_fields(call: ToolCall) -> Result<Value, EngineError> {
    let arguments = parse("tool_calls.arguments", &call.arguments)?;
    let function = json!({ "name": call.name, "arguments": arguments });
    Ok(json!({ "id": call.id, "type": "function", "function": function }))
}

fn described(tool: &Tool) -> Result<Value, EngineError> {
    let mut function = Map::new();
    function.insert("name".to_owned(), tool.name.clone().into());
    if let Some(description) = &tool.description {
        function.insert("description".to_owned(), description.clone().into());
    }
    let parameters = match &tool.parameters {
        Some(schema) => parse("tools.parameters", schema)?,
        None => json!({ "type": "object", "properties": {} }),
    };
    function.insert("parameters".to_owned(), parameters);
    Ok(json!({ "type": "function", "function": function }))
}

/// The turns for a template that knows nothing of tools.
fn in_words(messages: Vec<Message>, tools: &[Value]) -> Vec<TemplateMessage> {
    let mut turns: Vec<TemplateMessage> = messages.into_iter().map(in_words_of_one).collect();
    if !tools.is_empty() {
        let instructions = instructions(tools);
        match turns.first_mut() {
            Some(first) if first.role == "system" => {
                let content = first.content.take().unwrap_or_default();
                first.content = Some(format!("{content}\n\n{instructions}"));
            }
            _ => turns.insert(0, TemplateMessage::system(instructions)),
        }
    }
    turns
}

fn in_words_of_one(message: Message) -> TemplateMessage {
    let mut content = message.content;
    if message.role == Role::Tool {
        return TemplateMessage::user(format!("<tool_response>\n{content}\n</tool_response>"));
    }
    for call in message.tool_calls {
        let name = Value::String(call.name);
        let separator = if content.is_empty() { "" } else { "\n" };
        content += &format!(
            "{separator}<tool_call>\n{{\"name\": {name}, \"arguments\": {}}}\n</tool_call>",
            call.arguments
        );
    }
    let turn = TemplateMessage::new(message.role.as_str(), content);
    match message.name {
        Some(name) => turn.with("name", name.into()),
        None => turn,
    }
}

fn instructions(tools: &[Value]) -> String {
    let list: String = tools.iter().map(|tool| format!("{tool}\n")).collect();
    format!(
        "# Tools\n\nYou may call functions to answer the user. These are their signatures, within <tools></tools>:\n\
         <tools>\n{list}</tools>\n\nFor each call, write its name and arguments as JSON within <tool_call></tool_call>:\n\
         <tool_call>\n{{\"name\": <function-name>, \"arguments\": <arguments-as-json>}}\n</tool_call>"
    )
}

fn parse(field: &'static str, text: &str) -> Result<Value, EngineError> {
    serde_json::from_str(text).map_err(|error| invalid(field, format!("not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use llama_tokenizer::SpecialTokens;

    use super::*;

    const SCHEMA: &str =
        r#"{"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "integer"}}}"#;

    fn conversation() -> Conversation {
        let call =
            ToolCall { id: "c1".to_owned(), name: "look".to_owned(), arguments: "{\"z\": \"x\"}".to_owned() };
        let messages = [
            Message::user("Where?"),
            Message::assistant("").with_tool_calls([call]),
            Message::tool("c1", "here"),
        ];
        let parameters = Some(SCHEMA.to_owned());
        let tool = Tool { name: "look".to_owned(), description: Some("Looks.".to_owned()), parameters };
        Conversation::from(messages).with_tools([tool])
    }

    fn rendered(source: &str, conversation: Conversation) -> String {
        let template = ChatTemplate::new(source, SpecialTokens::default()).unwrap();
        render(&template, conversation).unwrap()
    }

    #[test]
    fn templates_get_tools_calls_and_answers() {
        let source = "{{ tools | tojson }}{% for m in messages %}|{{ m.role }}:{{ m.content }}\
            {% if m.tool_calls %}{{ m.tool_calls[0].function.arguments.z }}{% endif %}{{ m.tool_call_id }}{% endfor %}{{ style }}";
        let mut asked = conversation();
        asked.variables.push(("style".to_owned(), "\"!\"".to_owned()));
        let tool = format!(
            r#"[{{"type": "function", "function": {{"name": "look", "description": "Looks.", "parameters": {SCHEMA}}}}}]"#
        );
        assert_eq!(rendered(source, asked), format!("{tool}|user:Where?|assistant:Nonex|tool:herec1!"));
    }

    #[test]
    fn other_templates_are_told_in_words() {
        let source = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}";
        let text = rendered(source, conversation());
        assert!(text.starts_with("[system] # Tools\n"), "{text}");
        for part in [
            "\"name\":\"look\"",
            "[assistant] <tool_call>\n{\"name\": \"look\", \"arguments\": {\"z\": \"x\"}}\n</tool_call>",
            "[user] <tool_response>\nhere\n</tool_response>",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let mut with_system = conversation();
        with_system.messages.insert(0, Message::system("Be kind."));
        assert!(rendered(source, with_system).starts_with("[system] Be kind.\n\n# Tools\n"));
        let plain = Conversation::from([Message::user("hi")]);
        assert_eq!(rendered(source, plain), "[user] hi\n");
    }

    #[test]
    fn what_is_no_json_is_refused_by_name() {
        let mut asked = conversation();
        asked.messages[1].tool_calls[0].arguments = "{".to_owned();
        let template = ChatTemplate::new("{{ tools }}", SpecialTokens::default()).unwrap();
        let refused = render(&template, asked);
        assert!(
            matches!(refused, Err(EngineError::InvalidRequest { field: "tool_calls.arguments", .. })),
            "{refused:?}"
        );
    }
}
