//! `/v1/completions`.

use llama_server::Limits;
use serde_json::{Value, json};

use crate::support::Running;

const PROMPT: &str = "HAMLET.\nTo be, or";

fn greedy(extra: Value) -> Value {
    let mut body = json!({"prompt": PROMPT, "temperature": 0, "max_tokens": 8});
    let fields = body.as_object_mut().expect("an object");
    fields.extend(extra.as_object().expect("an object").clone());
    body
}

fn text_of(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect()
}

#[test]
fn streamed_and_whole_answers_are_the_same() {
    let server = Running::with(Limits::default());
    for extra in [json!({}), json!({"temperature": 1, "seed": 3}), json!({"logprobs": 2, "details": true})] {
        let whole = server.ok("/v1/completions", &greedy(extra.clone()));
        let mut streamed = greedy(extra);
        streamed["stream"] = true.into();
        streamed["stream_options"] = json!({"include_usage": true});
        let answer = server.post("/v1/completions", &streamed);
        assert!(answer.head.contains("content-type: text/event-stream"), "{answer:?}");
        let mut events = answer.events();
        let last = events.pop().expect("usage comes last");
        assert_eq!(last["usage"], whole["usage"]);
        assert_eq!(last["choices"], json!([]));
        assert!(events.len() > 4, "in pieces: {events:?}");
        assert_eq!(text_of(&events), whole["choices"][0]["text"]);
        let reasons: Vec<&Value> = events.iter().map(|event| &event["choices"][0]["finish_reason"]).collect();
        assert_eq!(**reasons.last().expect("events"), json!("length"));
        assert!(reasons[..reasons.len() - 1].iter().all(|reason| reason.is_null()), "{reasons:?}");
        let tokens = |list: &Value| list.as_array().cloned().unwrap_or_default();
        let ids: Vec<Value> =
            events.iter().flat_map(|event| tokens(&event["choices"][0]["token_ids"])).collect();
        assert_eq!(ids, tokens(&whole["choices"][0]["token_ids"]));
    }
    server.check_idle(0);
}

#[test]
fn usage_logprobs_and_details_are_those_of_the_engine() {
    let server = Running::with(Limits::default());
    let body = greedy(json!({"logprobs": 2, "details": true, "prompt_logprobs": 1}));
    let answer = server.ok("/v1/completions", &body);
    let choice = &answer["choices"][0];
    let (logprobs, details) = (&choice["logprobs"], &choice["finish_details"]);
    assert_eq!(answer["usage"]["completion_tokens"], 8);
    assert_eq!(choice["token_ids"].as_array().map(Vec::len), Some(8));
    assert_eq!(details["reason"], json!({"type": "max_tokens"}));
    for name in ["tokens", "token_logprobs", "top_logprobs", "text_offset", "by_id"] {
        assert_eq!(logprobs[name].as_array().map(Vec::len), Some(8), "{name}");
    }
    // Greedy: each token is its own best alternative.
    for i in 0..8 {
        let by_id = &logprobs["by_id"][i];
        assert_eq!((&by_id[0]["id"], by_id.as_array().map(Vec::len)), (&by_id[1]["id"], Some(3)));
        assert_eq!(by_id[0]["id"], choice["token_ids"][i]);
        assert_eq!(by_id[0]["logprob"], logprobs["token_logprobs"][i]);
    }
    let prompt = choice["prompt_tokens"].as_array().expect("asked for");
    assert_eq!(Value::from(prompt.len()), answer["usage"]["prompt_tokens"]);
    assert!(prompt[0].get("logprobs").is_none() && prompt[1]["logprobs"].is_array());
    let again = server.ok("/v1/completions", &greedy(json!({})));
    assert!(again["choices"][0].get("token_ids").is_none(), "not asked for: {again}");
}

#[test]
fn several_answers_are_those_of_their_seeds() {
    let server = Running::with(Limits::default());
    let alone = |prompt: &str, seed: u64| {
        let body = json!({"prompt": prompt, "max_tokens": 8, "seed": seed});
        server.ok("/v1/completions", &body)["choices"][0]["text"].clone()
    };
    let both = json!({"prompt": [PROMPT, "O Romeo,"], "n": 2, "max_tokens": 8, "seed": 5});
    let both = server.ok("/v1/completions", &both);
    let texts: Vec<Value> =
        both["choices"].as_array().expect("a list").iter().map(|choice| choice["text"].clone()).collect();
    assert_eq!(texts, [alone(PROMPT, 5), alone(PROMPT, 6), alone("O Romeo,", 5), alone("O Romeo,", 6)]);
    let tokens = |prompt: &str| {
        server.ok("/v1/completions", &json!({"prompt": prompt, "max_tokens": 1}))["usage"]["prompt_tokens"]
            .clone()
    };
    let expected = tokens(PROMPT).as_u64().zip(tokens("O Romeo,").as_u64()).map(|(a, b)| a + b);
    assert_eq!(both["usage"]["prompt_tokens"].as_u64(), expected, "each prompt counts once");
    assert_eq!(both["usage"]["completion_tokens"], 32);
}

#[test]
fn stops_biases_and_grammars_are_kept() {
    let server = Running::with(Limits::default());
    let whole = server.ok("/v1/completions", &greedy(json!({"max_tokens": 24})));
    let whole = whole["choices"][0]["text"].as_str().expect("a text").to_owned();
    let stop = whole.chars().skip(5).take(4).collect::<String>();
    let answer = server
        .ok("/v1/completions", &greedy(json!({"max_tokens": 24, "stop": [stop, "never"], "details": true})));
    let choice = &answer["choices"][0];
    assert_eq!(choice["text"].as_str(), whole.split(&stop).next());
    assert_eq!(
        (&choice["finish_reason"], &choice["finish_details"]["reason"]["text"]),
        (&json!("stop"), &json!(stop))
    );
    let first = server.ok("/v1/completions", &greedy(json!({"max_tokens": 1, "details": true})));
    let id = first["choices"][0]["token_ids"][0].to_string();
    let biased = server.ok(
        "/v1/completions",
        &greedy(json!({"max_tokens": 1, "details": true, "logit_bias": {id.as_str(): -100}})),
    );
    assert_ne!(biased["choices"][0]["token_ids"], first["choices"][0]["token_ids"]);
    for grammar in [
        json!("root ::= \"aye\" | \"nay\""),
        json!({"type": "choice", "choices": ["aye", "nay"]}),
        json!({"type": "regex", "regex": "aye|nay"}),
    ] {
        let answer = server.ok("/v1/completions", &greedy(json!({"grammar": grammar})));
        let text = answer["choices"][0]["text"].as_str().expect("a text");
        assert!(["aye", "nay"].contains(&text), "{text}");
    }
}
