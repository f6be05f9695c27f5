//! `/v1/contexts`, and answers that start from one.

use llama_runtime::EngineOptions;
use llama_server::{ApiKey, Limits, ServerConfig};
use serde_json::{Value, json};

use crate::support::{Running, request};

const TEXT: &str = "HAMLET.\nTo be, or not to be, that is the question: whether";

fn from(context: Value, prompt: &str) -> Value {
    json!({"prompt": prompt, "context": context, "temperature": 0, "max_tokens": 10})
}

#[test]
fn answers_from_a_context_are_those_of_the_whole_prompt() {
    let server = Running::with(Limits::default());
    let pinned = server.ok("/v1/contexts", &json!({ "prompt": TEXT }));
    let whole = format!("{TEXT} 'tis");
    let whole = server.ok("/v1/completions", &json!({"prompt": whole, "temperature": 0, "max_tokens": 10}));
    let branch = server.ok("/v1/completions", &from(pinned["id"].clone(), " 'tis"));
    assert_eq!(branch["choices"][0]["text"], whole["choices"][0]["text"]);
    assert_eq!(branch["usage"]["prompt_tokens_details"]["cached_tokens"], pinned["tokens"]);
    let beginning = json!({"id": pinned["id"], "tokens": 8});
    let branch = server.ok("/v1/completions", &from(beginning, " yes"));
    assert_eq!(branch["usage"]["prompt_tokens_details"]["cached_tokens"], 8);
    let beyond = json!({"id": pinned["id"], "tokens": 8000});
    server.post("/v1/completions", &from(beyond, " yes")).check_error(400, "invalid_value");
    let list = server.get("/v1/contexts").json();
    assert_eq!(list["data"], json!([pinned]));
    let path = format!("/v1/contexts/{}", pinned["id"].as_str().expect("an id"));
    server.check_idle(1);
    let deleted = server.ask("DELETE", &path, &Value::Null);
    assert_eq!((deleted.status, &deleted.json()["deleted"]), (200, &json!(true)));
    server.check_idle(0);
    server.ask("DELETE", &path, &Value::Null).check_error(404, "unknown_context");
    server.post("/v1/completions", &from(pinned["id"].clone(), " yes")).check_error(404, "unknown_context");
}

#[test]
fn kept_answers_go_on() {
    let server = Running::with(Limits::default());
    let begin = json!({"prompt": TEXT, "temperature": 0, "max_tokens": 6, "keep": true, "stream": true});
    let events = server.post("/v1/completions", &begin).events();
    let first: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    let kept = events.last().expect("an end")["choices"][0]["context"]["id"].clone();
    let next = server
        .ok("/v1/completions", &json!({"prompt": [], "context": kept, "temperature": 0, "max_tokens": 6}));
    let whole = server.ok("/v1/completions", &json!({"prompt": TEXT, "temperature": 0, "max_tokens": 12}));
    let next = next["choices"][0]["text"].as_str().expect("a text");
    assert_eq!(format!("{first}{next}"), whole["choices"][0]["text"].as_str().expect("a text"));
    server.check_idle(1);
}

#[test]
fn conversations_can_be_pinned() {
    let server = Running::with(Limits::default());
    let messages = json!([{"role": "user", "content": "Who is there?"}]);
    let pinned = server.ok("/v1/contexts", &json!({ "messages": messages }));
    let chat = json!({"messages": messages, "temperature": 0, "max_tokens": 8});
    let chat = server.ok("/v1/chat/completions", &chat);
    assert_eq!(pinned["tokens"], chat["usage"]["prompt_tokens"]);
    let bare = json!({"prompt": [], "context": pinned["id"], "temperature": 0, "max_tokens": 8});
    let bare = server.ok("/v1/completions", &bare);
    assert_eq!(bare["choices"][0]["text"], chat["choices"][0]["message"]["content"]);
}

#[test]
fn contexts_belong_to_who_made_them_and_are_limited() {
    let keys = vec![ApiKey::new("first"), ApiKey::new("second")];
    let limits = Limits { max_contexts: 1, ..Limits::default() };
    let config = ServerConfig { keys, limits, ..ServerConfig::default() };
    let server = Running::start(config, EngineOptions::default());
    let ask = |key: &str, method: &str, path: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let header = format!("HTTP/1.1\r\nAuthorization: Bearer {key}\r\n");
        server.send(&request(method, path, &body).replacen("HTTP/1.1\r\n", &header, 1))
    };
    let pinned = ask("first", "POST", "/v1/contexts", json!({ "prompt": TEXT })).json();
    let id = pinned["id"].clone();
    assert_eq!(ask("first", "POST", "/v1/completions", from(id.clone(), " yes")).status, 200);
    ask("second", "POST", "/v1/completions", from(id.clone(), " yes")).check_error(404, "unknown_context");
    assert_eq!(ask("second", "GET", "/v1/contexts", Value::Null).json()["data"], json!([]));
    let path = format!("/v1/contexts/{}", id.as_str().expect("an id"));
    ask("second", "DELETE", &path, Value::Null).check_error(404, "unknown_context");
    ask("second", "POST", "/v1/contexts", json!({ "prompt": TEXT })).check_error(429, "too_many_contexts");
    assert_eq!(ask("first", "DELETE", &path, Value::Null).status, 200);
}
