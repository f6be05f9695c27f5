//! Calls of tools.

use llama_server::Limits;
use serde_json::{Value, json};

use crate::support::Running;

fn ask(extra: Value) -> Value {
    let tool = |name: &str, properties: Value| {
        let parameters = json!({"type": "object", "properties": properties, "required": ["what"], "additionalProperties": false});
        json!({"type": "function", "function": {"name": name, "description": "It does.", "parameters": parameters}})
    };
    let tools = json!([
        tool(
            "count",
            json!({"what": {"enum": ["kings", "ghosts"]}, "most": {"type": "integer", "minimum": 1, "maximum": 9}})
        ),
        tool("name", json!({"what": {"enum": ["ship"]}})),
    ]);
    let mut body = json!({"messages": [{"role": "user", "content": "How many?"}], "tools": tools, "temperature": 0, "max_tokens": 120});
    let fields = body.as_object_mut().expect("an object");
    fields.extend(extra.as_object().expect("an object").clone());
    body
}

fn call_of(choice: &Value) -> (String, Value) {
    assert_eq!(choice["finish_reason"], "tool_calls", "{choice}");
    let call = &choice["message"]["tool_calls"][0];
    assert!(call["id"].as_str().is_some_and(|id| id.len() > 20) && call["type"] == "function", "{call}");
    let arguments = call["function"]["arguments"].as_str().expect("a text");
    let name = call["function"]["name"].as_str().expect("a name").to_owned();
    (name, serde_json::from_str(arguments).expect("JSON"))
}

#[test]
fn calls_follow_their_schemas_whole_and_streamed() {
    let server = Running::with(Limits::default());
    let named = json!({"type": "function", "function": {"name": "name"}});
    let answer = server.ok("/v1/chat/completions", &ask(json!({ "tool_choice": named })));
    assert_eq!(call_of(&answer["choices"][0]), ("name".to_owned(), json!({"what": "ship"})));
    assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
    for seed in 0..4 {
        let extra =
            json!({"tool_choice": "required", "temperature": 1, "seed": seed, "parallel_tool_calls": false});
        let whole = server.ok("/v1/chat/completions", &ask(extra.clone()));
        let (name, arguments) = call_of(&whole["choices"][0]);
        match name.as_str() {
            "count" => assert!(
                arguments["most"].is_null()
                    || (1..=9).contains(&arguments["most"].as_u64().expect("a number"))
            ),
            _ => assert_eq!(arguments, json!({"what": "ship"})),
        }
        let mut streamed = ask(extra);
        streamed["stream"] = true.into();
        let events = server.post("/v1/chat/completions", &streamed).events();
        let deltas: Vec<&Value> = events
            .iter()
            .flat_map(|event| event["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten())
            .collect();
        assert_eq!(deltas[0]["function"]["name"], name.as_str());
        assert!(deltas.len() > 2 && deltas.iter().all(|delta| delta["index"] == 0), "{deltas:?}");
        let text: String =
            deltas.iter().filter_map(|delta| delta["function"]["arguments"].as_str()).collect();
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), arguments);
        let reason = &events.last().expect("an end")["choices"][0]["finish_reason"];
        assert_eq!(reason, "tool_calls");
    }
}

#[test]
fn answers_that_need_not_call_may_be_text_and_results_are_read() {
    let server = Running::with(Limits::default());
    let answer = server.ok("/v1/chat/completions", &ask(json!({"max_tokens": 12})));
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let free = server.ok("/v1/chat/completions", &ask(json!({"max_tokens": 12, "tool_choice": "none"})));
    assert_eq!(free["choices"][0]["message"], answer["choices"][0]["message"], "a text either way");
    let call = json!({"id": "c1", "type": "function", "function": {"name": "name", "arguments": "{\"what\": \"ship\"}"}});
    let messages = json!([{"role": "user", "content": "Which ship?"}, {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "The Mary"}]);
    let with_result = server.ok("/v1/chat/completions", &ask(json!({"messages": messages, "max_tokens": 4})));
    let tools_alone = server.ok("/v1/chat/completions", &ask(json!({"max_tokens": 4})));
    let tokens = |answer: &Value| answer["usage"]["prompt_tokens"].as_u64().expect("counted");
    assert!(tokens(&with_result) > tokens(&tools_alone) + 20, "the call and its result are in the prompt");
}

#[test]
fn tools_that_make_no_sense_are_refused() {
    let server = Running::with(Limits::default());
    let check = |extra: Value, param: &str| {
        let answer = server.post("/v1/chat/completions", &ask(extra));
        assert_eq!(
            (answer.status, answer.json()["error"]["param"].as_str()),
            (400, Some(param)),
            "{answer:?}"
        );
    };
    check(json!({"tool_choice": {"type": "function", "function": {"name": "other"}}}), "tool_choice");
    check(json!({"tools": [], "tool_choice": "required"}), "tool_choice");
    check(json!({"tool_choice": "sometimes"}), "tool_choice");
    check(json!({"response_format": {"type": "json_object"}}), "tools");
    check(json!({"tools": [{"type": "function", "function": {"name": "a b"}}]}), "tools[0].function.name");
    let schema = json!({"type": "array", "uniqueItems": true});
    check(
        json!({"tools": [{"type": "function", "function": {"name": "a", "parameters": schema}}]}),
        "grammar",
    );
}
