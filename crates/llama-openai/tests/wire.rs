//! What clients really send is read, what is wrong is refused by name, and what is written is read back.

use llama_openai::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// A chat with every field.
const EVERYTHING: &str = r#"{
        "model": "m", "messages": [{"role": "assistant", "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "content": "x", "tool_call_id": "c"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "b": 1, "a": 2}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        "chat_template_kwargs": {"thinking": true}, "max_completion_tokens": 5, "logprobs": true, "top_logprobs": 2,
        "max_tokens": 3, "n": 2, "stop": "s", "seed": 9, "stream": true, "stream_options": {"include_usage": true},
        "temperature": 0.5, "top_p": 0.25, "frequency_penalty": 1.0, "presence_penalty": 1.0, "logit_bias": {"3": 1.0},
        "top_k": 5, "min_p": 0.5, "typical_p": 0.5, "top_n_sigma": 1.0,
        "dynamic_temperature": {"range": 0.5, "exponent": 1.0}, "repetition_penalty": 1.5, "penalty_last_n": 64,
        "dry": {"multiplier": 0.5, "base": 1.75, "allowed_len": 2, "last_n": 9, "breakers": ["\n"]},
        "xtc": {"probability": 0.5, "threshold": 0.125}, "mirostat": {"version": 2, "tau": 5.0, "eta": 0.125},
        "sampler_order": ["top_k"], "context": {"id": "ctx", "tokens": 4}, "keep": true, "priority": -3, "deadline_us": 100,
        "speculation": {"fixed": 4}, "prompt_logprobs": 1, "details": true,
        "grammar": {"type": "citations", "ids": [1], "required": "per_answer"}, "ignore_eos": true,
        "allowed_token_ids": [1], "banned_token_ids": [2], "stop_token_ids": [3], "min_tokens": 1, "user": "u"
    }"#;

fn chat(extra: Value) -> Result<ChatRequest, String> {
    let mut request = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let fields = request.as_object_mut().expect("an object");
    fields.extend(extra.as_object().expect("an object").clone());
    serde_json::from_value(request).map_err(|error| error.to_string())
}

fn check_refused(extra: Value, expected: &str) {
    let error = chat(extra.clone()).expect_err(&extra.to_string());
    assert!(error.starts_with(expected), "{error}, expected {expected}");
}

fn check_round_trip<T: Serialize + DeserializeOwned>(value: Value) {
    let read: T = serde_json::from_value(value.clone()).expect("valid");
    assert_eq!(serde_json::to_value(&read).expect("writes"), value);
}

#[test]
fn what_clients_vary_is_read() {
    let parts = json!({"messages": [{"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        "refusal": null}], "stop": ["x", "y"], "seed": -1, "user": "me", "top_p": null, "metadata": {"a": "b"}});
    let mut request = chat(parts).expect("valid");
    assert_eq!(request.input.messages.remove(0).content.expect("a text").into_text(), "ab");
    assert_eq!(request.options.stop.map(Stop::into_texts), Some(vec!["x".to_owned(), "y".to_owned()]));
    assert_eq!((request.options.seed, request.sampling.top_p), (Some(u64::MAX), None));
    let seed = chat(json!({"seed": u64::MAX})).expect("valid").options.seed;
    assert_eq!(seed, Some(u64::MAX));
    let bias = chat(json!({"logit_bias": {"7": -100, "12": 0.5}})).expect("valid").sampling.logit_bias;
    assert_eq!(bias.expect("given").into_iter().collect::<Vec<_>>(), [(7, -100.0), (12, 0.5)]);
    for (prompt, expected) in [
        (json!("a"), Input::Text("a".to_owned())),
        (json!(["a"]), Input::Texts(vec!["a".to_owned()])),
        (json!([1, 2]), Input::Tokens(vec![1, 2])),
        (json!([[1], [2]]), Input::TokenLists(vec![vec![1], vec![2]])),
        (json!([]), Input::Tokens(Vec::new())),
    ] {
        let request: CompletionRequest = serde_json::from_value(json!({ "prompt": prompt })).expect("valid");
        assert_eq!(request.input.prompt, expected);
    }
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    check_refused(json!({"temperature": "hot"}), "temperature: invalid type");
    check_refused(json!({"n": -1}), "n: invalid value");
    check_refused(json!({"stop": 3}), "stop: expected a string or a list of strings");
    check_refused(json!({"messages": [{"role": "king"}]}), "messages[0].role: unknown variant `king`");
    check_refused(
        json!({"messages": [{"role": "user", "content": 3}]}),
        "messages[0].content: expected a string",
    );
    check_refused(json!({"dry": {"multiplier": 1}}), "dry: missing field");
    check_refused(json!({"stream_options": {"include": true}}), "stream_options.include: unknown field");
    check_refused(json!({"temprature": 1}), "temprature: not supported");
    check_refused(json!({"priority": 300}), "priority: invalid value");
    check_refused(json!({"tools": [{"type": "retrieval"}]}), "tools[0].type: unknown variant");
    let none = serde_json::from_value::<ChatRequest>(json!({})).expect_err("no messages");
    assert_eq!(none.to_string(), "missing field `messages`");
    let text = serde_json::from_value::<ChatRequest>(json!("Hi")).expect_err("no object");
    assert!(text.to_string().contains("expected a map"), "{text}");
}

#[test]
fn requests_survive_the_wire() {
    check_round_trip::<ChatRequest>(serde_json::from_str(EVERYTHING).expect("JSON"));
    check_round_trip::<CompletionRequest>(
        json!({"prompt": [[1]], "logprobs": 1, "echo": true, "best_of": 1, "context": "c"}),
    );
    check_round_trip::<EmbeddingRequest>(
        json!({"input": ["a"], "dimensions": 3, "encoding_format": "base64",
        "input_type": "query", "instruction": "i", "pooling": "weighted_mean", "normalize": false,
        "untrained_dimensions": true, "truncate": true, "priority": 1}),
    );
    check_round_trip::<ContextRequest>(json!({"messages": [{"role": "user", "content": "a"}]}));
    check_round_trip::<ErrorResponse>(
        json!({"error": {"message": "m", "type": "t", "param": null, "code": "c",
        "details": {"type": "context_too_long", "needed": 3, "context_len": 2}}}),
    );
}

#[test]
fn answers_of_other_servers_are_read() {
    let chunk = json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "f",
        "choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": null, "finish_reason": null}]});
    let chunk: ChatChunk = serde_json::from_value(chunk).expect("valid");
    assert_eq!(chunk.choices[0].delta.content.as_deref(), Some("x"));
    let error: ErrorResponse =
        serde_json::from_value(json!({"error": {"code": 400, "message": "m", "type": "t"}})).expect("valid");
    assert_eq!(error.error.code, Some(ErrorCode::Status(400)));
}
