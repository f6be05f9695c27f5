//! `/v1/chat/completions`.

use llama_server::Limits;
use serde_json::{Value, json};

use crate::support::Running;

fn ask(extra: Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "Who is there? Stand, and unfold yourself"}], "temperature": 0, "max_tokens": 12});
    let fields = body.as_object_mut().expect("an object");
    fields.extend(extra.as_object().expect("an object").clone());
    body
}

#[test]
fn conversations_are_rendered_and_answered() {
    let server = Running::with(Limits::default());
    let answer = server.ok("/v1/chat/completions", &ask(json!({})));
    let rendered = "USER.\nWho is there? Stand, and unfold yourself\n\nHAMLET.";
    let tokens = server.ok("/tokenize", &json!({ "text": rendered }))["tokens"].clone();
    let plain = server.ok("/v1/completions", &json!({"prompt": tokens, "temperature": 0, "max_tokens": 12}));
    assert_eq!(answer["choices"][0]["message"]["content"], plain["choices"][0]["text"]);
    assert_eq!(answer["choices"][0]["message"]["role"], "assistant");
    assert_eq!(answer["usage"]["prompt_tokens"], plain["usage"]["prompt_tokens"]);
    assert_eq!(answer["object"], "chat.completion");
    let parts = json!([{"type": "text", "text": "Who is"}, {"type": "text", "text": " there? Stand, and unfold yourself"}]);
    let again =
        server.ok("/v1/chat/completions", &ask(json!({"messages": [{"role": "user", "content": parts}]})));
    assert_eq!(again["choices"][0]["message"], answer["choices"][0]["message"]);
    let cached = again["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().expect("counted");
    assert!(cached >= 16, "the first one's prompt is found again: {again}");
}

#[test]
fn streams_have_roles_first_and_reasons_last() {
    let server = Running::with(Limits::default());
    let whole = server.ok("/v1/chat/completions", &ask(json!({"n": 2, "seed": 1, "temperature": 1})));
    let events = server
        .post("/v1/chat/completions", &ask(json!({"n": 2, "seed": 1, "temperature": 1, "stream": true})))
        .events();
    for index in 0..2 {
        let own: Vec<&Value> = events
            .iter()
            .map(|event| &event["choices"][0])
            .filter(|choice| choice["index"] == index)
            .collect();
        assert_eq!(own[0]["delta"]["role"], "assistant");
        assert!(own[1..].iter().all(|choice| choice["delta"].get("role").is_none()), "{own:?}");
        let text: String = own.iter().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
        assert_eq!(text, whole["choices"][index]["message"]["content"].as_str().expect("a text"));
        assert_eq!(own[own.len() - 1]["finish_reason"], "length");
    }
    let ids: Vec<&Value> = events.iter().map(|event| &event["id"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "one name for all pieces");
}

#[test]
fn logprobs_have_the_form_of_a_chat() {
    let server = Running::with(Limits::default());
    let answer = server.ok("/v1/chat/completions", &ask(json!({"logprobs": true, "top_logprobs": 2})));
    let content = answer["choices"][0]["logprobs"]["content"].as_array().expect("a list");
    assert_eq!(content.len(), 12);
    for token in content {
        assert_eq!(token["top_logprobs"].as_array().map(Vec::len), Some(2));
        assert_eq!(token["top_logprobs"][0]["token"], token["token"], "greedy");
        let bytes: Vec<u8> = serde_json::from_value(token["bytes"].clone()).expect("bytes");
        assert_eq!(Some(bytes.as_slice()), token["token"].as_str().map(str::as_bytes));
    }
}

#[test]
fn answers_have_the_format_asked_for() {
    let server = Running::with(Limits::default());
    let schema = json!({"type": "object", "properties": {"z": {"enum": ["aye", "nay"]}, "a": {"type": "boolean"}},
        "required": ["z", "a"], "additionalProperties": false});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}});
    let answer =
        server.ok("/v1/chat/completions", &ask(json!({"response_format": format, "max_tokens": 64})));
    let text = answer["choices"][0]["message"]["content"].as_str().expect("a text");
    let value: Value = serde_json::from_str(text).expect("JSON");
    assert!(value["z"].is_string() && value["a"].is_boolean(), "{value}");
    assert!(text.starts_with("{\"z\""), "keys in the schema's order: {text}");
    let format = json!({"type": "json_object"});
    let answer =
        server.ok("/v1/chat/completions", &ask(json!({"response_format": format, "max_tokens": 200})));
    let text = answer["choices"][0]["message"]["content"].as_str().expect("a text");
    assert!(text.starts_with('{'), "{text}");
    let text = json!({"type": "text"});
    server.ok("/v1/chat/completions", &ask(json!({ "response_format": text })));
}
