//! Prompts and conversations.

use llama_engine::{
    Conversation, LlamaEngine, Message, Prompt, Role as EngineRole, Tool as EngineTool, ToolCall,
};
use llama_openai::{ChatMessage, Content, Input, Role, Tool};
use serde_json::{Map, Value};

use crate::{error::ApiError, state::App};

/// The prompts of a completion.
pub(crate) fn prompts(input: Input) -> Result<Vec<Prompt>, ApiError> {
    let prompts: Vec<Prompt> = match input {
        Input::Text(text) => vec![Prompt::Text(text)],
        Input::Tokens(tokens) => vec![Prompt::Tokens(tokens)],
        Input::Texts(texts) => texts.into_iter().map(Prompt::Text).collect(),
        Input::TokenLists(lists) => lists.into_iter().map(Prompt::Tokens).collect(),
    };
    if prompts.is_empty() {
        Err(ApiError::invalid("prompt", "at least one is expected"))
    } else {
        Ok(prompts)
    }
}

/// A conversation.
pub(crate) fn conversation(
    messages: Vec<ChatMessage>,
    tools: Option<Vec<Tool>>,
    variables: Option<Map<String, Value>>,
) -> Result<Conversation, ApiError> {
    if messages.is_empty() {
        return Err(ApiError::invalid("messages", "at least one is expected"));
    }
    let variables = variables.unwrap_or_default();
    if let Some(name) =
        ["messages", "tools", "add_generation_prompt"].iter().find(|&&name| variables.contains_key(name))
    {
        return Err(ApiError::invalid("chat_template_kwargs", format!("`{name}` is not for callers to set")));
    }
    let messages = messages.into_iter().enumerate().map(|(i, message)| turn(message, i));
    Ok(Conversation {
        messages: messages.collect::<Result<_, _>>()?,
        tools: tools.unwrap_or_default().into_iter().map(tool).collect(),
        variables: variables.into_iter().map(|(name, value)| (name, value.to_string())).collect(),
    })
}

fn turn(message: ChatMessage, i: usize) -> Result<Message, ApiError> {
    let calls = message.tool_calls.unwrap_or_default();
    if message.content.is_none() && calls.is_empty() {
        return Err(ApiError::invalid(&format!("messages[{i}].content"), "missing"));
    }
    let role = match message.role {
        Role::System | Role::Developer => EngineRole::System,
        Role::User => EngineRole::User,
        Role::Assistant => EngineRole::Assistant,
        Role::Tool => EngineRole::Tool,
    };
    if !calls.is_empty() && role != EngineRole::Assistant {
        return Err(ApiError::invalid(
            &format!("messages[{i}].tool_calls"),
            "only the assistant calls tools",
        ));
    }
    let call = |call: llama_openai::ToolCall| ToolCall {
        id: call.id,
        name: call.function.name,
        arguments: call.function.arguments,
    };
    Ok(Message {
        name: message.name,
        tool_call_id: message.tool_call_id,
        ..Message::new(role, message.content.map(Content::into_text).unwrap_or_default())
            .with_tool_calls(calls.into_iter().map(call))
    })
}

pub(super) fn tool(Tool::Function { function }: Tool) -> EngineTool {
    EngineTool {
        name: function.name,
        description: function.description,
        parameters: function.parameters.map(|schema| schema.to_string()),
    }
}

/// Refuses prompts of more tokens than the server takes. What a chat template adds is not counted.
pub(crate) async fn check_prompt<E: LlamaEngine>(app: &App<E>, prompt: &Prompt) -> Result<(), ApiError> {
    let limit = app.config.limits.max_prompt_tokens;
    let mut num_tokens = 0;
    match prompt {
        Prompt::Tokens(tokens) => num_tokens = tokens.len(),
        // No text has more tokens than bytes.
        Prompt::Text(text) if text.len() <= limit => {}
        Prompt::Text(text) => num_tokens = app.engine.tokenize(text).await?.len(),
        Prompt::Chat(conversation) => {
            let texts = || conversation.messages.iter().map(|message| &message.content);
            if texts().map(String::len).sum::<usize>() > limit {
                for text in texts() {
                    num_tokens += app.engine.tokenize(text).await?.len();
                }
            }
        }
    }
    if num_tokens <= limit {
        return Ok(());
    }
    let message = format!("the prompt has {num_tokens} tokens; this server takes {limit}");
    Err(ApiError::new(axum::http::StatusCode::BAD_REQUEST, "prompt_too_long", message).with_param("prompt"))
}
