//! Requests in the standard's words. What the standard has no words for has been refused before ([`crate::Dialect`]).

use llama_engine::{Conversation, EngineError, GenerateRequest, Grammar, Message, Prompt, Role, Sampling};
use serde_json::{Map, Value, json};

/// A generation, streamed: where it is asked, and what is sent there.
pub(crate) fn generation(
    request: &GenerateRequest,
    model: &str,
) -> Result<(&'static str, Vec<u8>), EngineError> {
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    body.insert("stream".to_owned(), true.into());
    body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    sampling(&request.sampling, &mut body)?;
    if let Some(max_tokens) = request.max_tokens {
        body.insert("max_tokens".to_owned(), max_tokens.into());
    }
    if !request.stop.is_empty() {
        body.insert("stop".to_owned(), request.stop.clone().into());
    }
    if !request.rules.bias.is_empty() {
        body.insert("logit_bias".to_owned(), logit_bias(&request.rules.bias)?);
    }
    let path = prompt(request, &mut body)?;
    Ok((path, Value::Object(body).to_string().into_bytes()))
}

fn sampling(sampling: &Sampling, body: &mut Map<String, Value>) -> Result<(), EngineError> {
    // Absent, it would be 1; here it is 0.
    body.insert("temperature".to_owned(), finite("temperature", sampling.temperature)?);
    if let Some(top_p) = sampling.top_p {
        body.insert("top_p".to_owned(), finite("top_p", top_p)?);
    }
    let penalties = &sampling.penalties;
    for (field, name, value) in [
        ("penalties.frequency", "frequency_penalty", penalties.frequency),
        ("penalties.presence", "presence_penalty", penalties.presence),
    ] {
        if value != 0.0 {
            body.insert(name.to_owned(), finite(field, value)?);
        }
    }
    if let Some(seed) = sampling.seed {
        body.insert("seed".to_owned(), seed.into());
    }
    Ok(())
}

/// JSON has no numbers for infinities and NaN.
fn finite(field: &'static str, value: f32) -> Result<Value, EngineError> {
    if value.is_finite() {
        // Through its shortest digits: 0.1, not 0.10000000149011612.
        return Ok(value.to_string().parse::<f64>().map_or(Value::Null, Value::from));
    }
    Err(EngineError::InvalidRequest { field, reason: format!("{value}, expected a finite number") })
}

fn logit_bias(bias: &[(u32, f32)]) -> Result<Value, EngineError> {
    let mut entries = Map::new();
    for (token, bias) in bias {
        entries.insert(token.to_string(), finite("rules.bias", *bias)?);
    }
    Ok(Value::Object(entries))
}

/// Adds what is to be continued and what depends on it; returns where that is asked.
fn prompt(request: &GenerateRequest, body: &mut Map<String, Value>) -> Result<&'static str, EngineError> {
    let invalid = |reason: &str| EngineError::InvalidRequest { field: "prompt", reason: reason.to_owned() };
    let (name, value) = match &request.prompt {
        Prompt::Chat(conversation) => return chat(conversation, request, body),
        Prompt::Text(text) if text.is_empty() => return Err(invalid("no text")),
        Prompt::Text(text) => ("prompt", text.as_str().into()),
        Prompt::Tokens(tokens) if tokens.is_empty() => return Err(invalid("no tokens")),
        Prompt::Tokens(tokens) => ("prompt", tokens.clone().into()),
    };
    body.insert(name.to_owned(), value);
    if let Some(num_alternatives) = request.logprobs.answer {
        // 0 asks for the tokens' own; some servers take it for none.
        body.insert("logprobs".to_owned(), num_alternatives.max(1).into());
    }
    Ok("/v1/completions")
}

fn chat(
    conversation: &Conversation,
    request: &GenerateRequest,
    body: &mut Map<String, Value>,
) -> Result<&'static str, EngineError> {
    let messages: Vec<Value> = conversation.messages.iter().map(message).collect();
    body.insert("messages".to_owned(), messages.into());
    if let Some(num_alternatives) = request.logprobs.answer {
        body.insert("logprobs".to_owned(), true.into());
        body.insert("top_logprobs".to_owned(), num_alternatives.into());
    }
    if let Some(Grammar::JsonSchema(text)) = &request.grammar {
        let schema: Value = serde_json::from_str(text)
            .map_err(|error| EngineError::InvalidGrammar { reason: error.to_string(), at: None })?;
        let named = json!({"name": "answer", "strict": true, "schema": schema});
        body.insert("response_format".to_owned(), json!({"type": "json_schema", "json_schema": named}));
    }
    Ok("/v1/chat/completions")
}

fn message(message: &Message) -> Value {
    let mut turn = Map::new();
    turn.insert("role".to_owned(), message.role.as_str().into());
    let says_nothing = message.content.is_empty() && !message.tool_calls.is_empty();
    turn.insert(
        "content".to_owned(),
        if says_nothing { Value::Null } else { message.content.as_str().into() },
    );
    if let Some(name) = &message.name {
        turn.insert("name".to_owned(), name.as_str().into());
    }
    if message.role == Role::Assistant && !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            json!({"id": call.id, "type": "function", "function": function})
        });
        turn.insert("tool_calls".to_owned(), calls.collect());
    }
    if let Some(id) = &message.tool_call_id {
        turn.insert("tool_call_id".to_owned(), id.as_str().into());
    }
    Value::Object(turn)
}

#[cfg(test)]
mod tests {
    use llama_engine::{Penalties, ToolCall};

    use super::*;

    fn composed(request: &GenerateRequest) -> (String, Value) {
        let (path, body) = generation(request, "m").expect("a valid request");
        (path.to_owned(), serde_json::from_slice(&body).expect("JSON"))
    }

    #[test]
    fn a_text_becomes_a_completion() {
        let sampling = Sampling {
            temperature: 0.1,
            top_p: Some(0.95),
            seed: Some(u64::MAX),
            penalties: Penalties { frequency: 0.5, ..Penalties::default() },
            ..Sampling::default()
        };
        let mut request =
            GenerateRequest::new("To be").with_max_tokens(3).with_stop("x").with_sampling(sampling);
        request.rules.bias = vec![(7, -100.0)];
        let (path, body) = composed(&request.with_logprobs(0));
        let expected = json!({
            "model": "m", "prompt": "To be", "max_tokens": 3, "stop": ["x"], "temperature": 0.1, "top_p": 0.95,
            "seed": u64::MAX, "frequency_penalty": 0.5, "logit_bias": {"7": -100.0}, "logprobs": 1,
            "stream": true, "stream_options": {"include_usage": true},
        });
        assert_eq!((path.as_str(), body), ("/v1/completions", expected));
    }

    #[test]
    fn a_conversation_becomes_a_chat() {
        let call = ToolCall { id: "c1".to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() };
        let messages = [
            Message::user("weather?"),
            Message::assistant("").with_tool_calls([call]),
            Message::tool("c1", "sunny"),
        ];
        let schema = Grammar::JsonSchema("{\"type\": \"object\"}".to_owned());
        let (path, body) = composed(&GenerateRequest::new(messages).with_grammar(schema).with_logprobs(2));
        assert_eq!(path, "/v1/chat/completions");
        assert_eq!(body["messages"][0], json!({"role": "user", "content": "weather?"}));
        let calls = json!([{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
        assert_eq!(body["messages"][1], json!({"role": "assistant", "content": null, "tool_calls": calls}));
        assert_eq!(body["messages"][2], json!({"role": "tool", "content": "sunny", "tool_call_id": "c1"}));
        assert_eq!(body["response_format"]["json_schema"]["schema"], json!({"type": "object"}));
        assert_eq!((&body["logprobs"], &body["top_logprobs"]), (&json!(true), &json!(2)));
        assert_eq!(body.get("max_tokens"), None, "as many as fit");
    }

    #[test]
    fn numbers_that_json_lacks_are_refused() {
        let sampling = Sampling { temperature: f32::NAN, ..Sampling::default() };
        let refused = generation(&GenerateRequest::new("x").with_sampling(sampling), "m");
        let Err(EngineError::InvalidRequest { field: "temperature", reason }) = refused.map(|_| ()) else {
            panic!("NaN was sent");
        };
        assert!(reason.contains("NaN"), "{reason}");
    }
}
