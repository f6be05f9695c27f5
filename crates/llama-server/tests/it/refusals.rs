//! What is wrong is refused, in OpenAI's form, with the field and nothing from inside.

use llama_runtime::EngineOptions;
use llama_server::{ApiKey, Limits, ServerConfig};
use serde_json::{Value, json};

use crate::support::{Running, request};

fn check(server: &Running, body: Value, (code, param): (&str, &str)) {
    let error = server.post("/v1/completions", &body).check_error(400, code);
    assert_eq!(error["param"], param, "{body}: {error}");
    assert_eq!(error["type"], "invalid_request_error");
}

#[test]
fn fields_that_make_no_sense_are_named() {
    let server = Running::with(Limits::default());
    check(&server, json!({"prompt": "a", "temperature": -1}), ("invalid_value", "temperature"));
    check(&server, json!({"prompt": "a", "temperature": "hot"}), ("invalid_value", "temperature"));
    check(&server, json!({"prompt": "a", "frequency_penalty": 9}), ("invalid_value", "frequency_penalty"));
    check(&server, json!({"prompt": "a", "max_tokens": 0}), ("invalid_value", "max_tokens"));
    check(&server, json!({"prompt": "a", "n": 0}), ("invalid_value", "n"));
    check(&server, json!({"prompt": "a", "n": 100_000}), ("invalid_value", "n"));
    check(&server, json!({"prompt": "a", "logprobs": 101}), ("invalid_value", "logprobs"));
    check(&server, json!({"prompt": "a", "stop": ""}), ("invalid_value", "stop"));
    check(&server, json!({"prompt": [99999]}), ("invalid_value", "prompt"));
    check(&server, json!({"prompt": []}), ("invalid_value", "prompt"));
    check(&server, json!({}), ("invalid_value", "prompt"));
    check(&server, json!({"prompt": "a", "temprature": 1}), ("unknown_field", "temprature"));
    check(&server, json!({"prompt": "a", "suffix": "b"}), ("unsupported", "suffix"));
    check(&server, json!({"prompt": "a", "best_of": 3}), ("unsupported", "best_of"));
    check(&server, json!({"prompt": "a", "stream_options": {}}), ("invalid_value", "stream_options"));
    check(&server, json!({"prompt": "a", "sampler_order": ["x"]}), ("invalid_value", "sampler_order"));
    check(&server, json!({"prompt": "a", "grammar": "root ::= ("}), ("invalid_grammar", "grammar"));
    let long = json!({"prompt": "a", "max_tokens": server.context_len()});
    let error = server.post("/v1/completions", &long).check_error(400, "context_length_exceeded");
    assert_eq!(error["details"]["context_len"], server.context_len());
    for (body, param) in [
        (json!({"messages": []}), json!("messages")),
        (json!({"messages": [{"role": "user"}]}), json!("messages[0].content")),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            json!("messages[0].content"),
        ),
        (json!({"messages": [{"role": "user", "content": "a"}], "top_logprobs": 2}), json!("top_logprobs")),
        (
            json!({"messages": [{"role": "user", "content": "a"}], "response_format": {"type": "json_object"}, "grammar": "root ::= \"a\""}),
            json!("response_format"),
        ),
    ] {
        let answer = server.post("/v1/chat/completions", &body);
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &param), "{body}");
    }
    server.check_idle(0);
}

#[test]
fn what_is_no_request_is_answered_too() {
    let server = Running::with(Limits { max_body_bytes: 1000, ..Limits::default() });
    server.get("/nothing").check_error(404, "unknown_url");
    server.get("/v1/completions").check_error(405, "method_not_allowed");
    server.send(&request("POST", "/v1/completions", "{\"prompt\": ")).check_error(400, "invalid_json");
    server.send(&request("POST", "/v1/completions", "\"text\"")).check_error(400, "invalid_value");
    let text = request("POST", "/v1/completions", "{}").replace("application/json", "text/plain");
    server.send(&text).check_error(415, "unsupported_media_type");
    let long = json!({"prompt": "a".repeat(1000)});
    server.post("/v1/completions", &long).check_error(413, "body_too_large");
    let unsized_body = "POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n800\r\n";
    server
        .send(&format!("{unsized_body}{}\r\n0\r\n\r\n", " ".repeat(0x800)))
        .check_error(413, "body_too_large");
    assert_eq!(server.send("GET / HTTP/9\r\n\r\n").status, 400);
}

#[test]
fn keys_are_needed_where_there_are_some() {
    let keys = vec![ApiKey::new("one"), ApiKey::new("two")];
    let server = Running::start(ServerConfig { keys, ..ServerConfig::default() }, EngineOptions::default());
    let with = |line: &str| {
        let body = json!({"prompt": "a", "max_tokens": 1}).to_string();
        server.send(&request("POST", "/v1/completions", &body).replacen(
            "HTTP/1.1\r\n",
            &format!("HTTP/1.1\r\n{line}"),
            1,
        ))
    };
    for line in
        ["", "Authorization: Bearer three\r\n", "Authorization: one\r\n", "Authorization: Bearer \r\n"]
    {
        let answer = with(line);
        answer.check_error(401, "invalid_api_key");
        assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
    }
    for key in ["one", "two"] {
        assert_eq!(with(&format!("Authorization: Bearer {key}\r\n")).status, 200);
    }
    assert_eq!(server.get("/health").status, 200, "load balancers have no key");
    server.get("/v1/models").check_error(401, "invalid_api_key");
}

#[test]
fn other_origins_may_ask_only_where_that_is_configured() {
    let ask = |origins: &[&str]| {
        let cors_origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        let server = Running::start(
            ServerConfig { cors_origins, ..ServerConfig::default() },
            EngineOptions::default(),
        );
        let request = request("GET", "/health", "");
        server.send(&request.replacen("HTTP/1.1\r\n", "HTTP/1.1\r\nOrigin: http://a.example\r\n", 1)).head
    };
    let allowed = "access-control-allow-origin";
    assert!(!ask(&[]).contains(allowed));
    assert!(!ask(&["http://b.example"]).contains(allowed));
    assert!(
        ask(&["http://b.example", "http://a.example"])
            .contains("access-control-allow-origin: http://a.example")
    );
}
