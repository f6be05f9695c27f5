//! Bodies that are valid but for some place in them: whatever is sent, the answer is JSON or events, and never the server's fault.

use std::cell::RefCell;

use llama_server::Limits;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};

use crate::support::{Running, request};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3i64..40).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[a-z_]{0,10}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec(("[a-z_]{1,8}", inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Valid bodies, with most of the fields that there are.
fn valid() -> [(&'static str, Value); 7] {
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}});
    [
        (
            "/v1/completions",
            json!({"prompt": ["To be", "or"], "max_tokens": 3, "n": 2, "stop": ["x"], "seed": 1, "logprobs": 2,
            "temperature": 0.5, "top_p": 0.5, "logit_bias": {"3": 1}, "stream": true, "stream_options": {"include_usage": true}}),
        ),
        (
            "/v1/completions",
            json!({"prompt": [3, 4], "max_tokens": 3, "top_k": 3, "dry": {"multiplier": 1, "base": 2, "allowed_len": 2,
            "breakers": ["\n"]}, "xtc": {"probability": 0.5, "threshold": 0.1}, "speculation": {"fixed": 2}, "min_tokens": 1,
            "grammar": "root ::= \"a\"*", "details": true, "prompt_logprobs": 1, "deadline_us": 1_000_000}),
        ),
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "max_tokens": 3,
            "tools": [tool], "tool_choice": "auto", "logprobs": true, "top_logprobs": 1}),
        ),
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer"}}}}),
        ),
        (
            "/v1/embeddings",
            json!({"input": ["a", "b"], "encoding_format": "base64", "dimensions": 8, "untrained_dimensions": true,
            "pooling": "last", "input_type": "query"}),
        ),
        ("/tokenize", json!({"text": "To be"})),
        ("/detokenize", json!({"tokens": [3, 4]})),
    ]
}

/// Puts a value into the place that a path of indices leads to.
fn put(body: &mut Value, path: &[usize], value: Value) {
    let place = match (body, path) {
        (Value::Object(fields), [first, rest @ ..]) if !fields.is_empty() => {
            let i = first % fields.len();
            fields.values_mut().nth(i).map(|inner| (inner, rest))
        }
        (Value::Array(items), [first, rest @ ..]) if !items.is_empty() => {
            let i = first % items.len();
            items.get_mut(i).map(|inner| (inner, rest))
        }
        (body, _) => {
            *body = value;
            return;
        }
    };
    if let Some((inner, rest)) = place {
        put(inner, rest, value);
    }
}

#[test]
fn no_body_breaks_the_server() {
    let server = Running::with(Limits { max_answers: 8, ..Limits::default() });
    let counts = RefCell::new([0; 2]);
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let bodies = valid();
    // Null leaves a field out, and small numbers are often right.
    let value = prop_oneof![
        2 => Just(Value::Null),
        2 => (0..9).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        5 => any_json(),
    ];
    let cases = (0..bodies.len(), vec(any::<usize>(), 1..6), value);
    runner
        .run(&cases, |(i, path, value)| {
            let (url, mut body) = bodies[i].clone();
            put(&mut body, &path, value);
            let answer = server.send(&request("POST", url, &body.to_string()));
            counts.borrow_mut()[usize::from(answer.status != 200)] += 1;
            prop_assert!(answer.status < 500 || answer.status == 503, "{url} {body}: {answer:?}");
            if answer.status != 200 {
                let error = answer.json()["error"].clone();
                prop_assert!(
                    error["message"].is_string() && error["code"].is_string(),
                    "{url} {body}: {answer:?}"
                );
                prop_assert!(!answer.body.contains("src/"), "{answer:?}");
            }
            Ok(())
        })
        .expect("no body breaks it");
    let [taken, refused] = *counts.borrow();
    assert!(taken > 40 && refused > 40, "{taken} taken, {refused} refused: too one-sided to mean much");
    server.check_idle(0);
}

#[test]
fn valid_bodies_are_valid() {
    let server = Running::with(Limits::default());
    for (url, body) in valid() {
        assert_eq!(server.post(url, &body).status, 200, "{url} {body}");
    }
}
