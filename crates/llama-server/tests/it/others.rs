//! Embeddings, models, tokens, health.

use llama_server::Limits;
use serde_json::{Value, json};

use crate::support::Running;

fn floats(vector: &Value) -> Vec<f32> {
    vector.as_array().expect("numbers").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
}

#[test]
fn embeddings_in_both_forms() {
    let server = Running::with(Limits::default());
    let numbers = server.ok("/v1/embeddings", &json!({"input": ["to be", "not to be"]}));
    let vectors: Vec<Vec<f32>> =
        numbers["data"].as_array().expect("a list").iter().map(|it| floats(&it["embedding"])).collect();
    assert_eq!(vectors.len(), 2);
    assert!((vectors[1].iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-4, "of length one");
    let base64 = server.ok("/v1/embeddings", &json!({"input": "not to be", "encoding_format": "base64"}));
    let text = base64["data"][0]["embedding"].as_str().expect("a text");
    let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, text).expect("base64");
    let decoded: Vec<f32> =
        bytes.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().expect("four"))).collect();
    assert_eq!(decoded, vectors[1]);
    let cut = json!({"input": "to be", "dimensions": 8, "untrained_dimensions": true, "normalize": false});
    let cut = server.ok("/v1/embeddings", &cut);
    assert_eq!((floats(&cut["data"][0]["embedding"]).len(), &cut["trained_dimensions"]), (8, &json!(false)));
    let refused = server.post("/v1/embeddings", &json!({"input": "to be", "dimensions": 8}));
    assert_eq!(refused.check_error(400, "invalid_value")["param"], "dimensions");
    server.post("/v1/embeddings", &json!({"input": [1, 2]})).check_error(400, "unsupported");
    server.post("/v1/embeddings", &json!({"input": []})).check_error(400, "invalid_value");
    assert_eq!(numbers["usage"]["prompt_tokens"], numbers["usage"]["total_tokens"]);
}

#[test]
fn models_tokens_and_health() {
    let server = Running::with(Limits::default());
    let models = server.get("/v1/models").json();
    let model = &models["data"][0];
    assert_eq!(model["max_model_len"], server.context_len());
    let path = format!("/v1/models/{}", model["id"].as_str().expect("a name"));
    assert_eq!(server.get(&path).json(), *model);
    server.get("/v1/models/other").check_error(404, "model_not_found");
    let tokens = server.ok("/tokenize", &json!({"content": "To be, or not"}));
    assert_eq!(
        tokens["tokens"].as_array().map(Vec::len),
        tokens["count"].as_u64().map(|count| count as usize)
    );
    let text = server.ok("/detokenize", &json!({"tokens": tokens["tokens"]}));
    assert_eq!(text["text"], "To be, or not");
    server.post("/detokenize", &json!({"tokens": [99999]})).check_error(400, "invalid_value");
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(server.get(path).json()["status"], "ok", "{path}");
    }
}

#[test]
fn the_document_says_what_there_is() {
    let server = Running::with(Limits::default());
    let document = server.get("/openapi.json").json();
    let paths = document["paths"].as_object().expect("paths");
    assert_eq!(paths.len(), 13);
    for (path, methods) in paths {
        for method in methods.as_object().expect("methods").keys() {
            let answer = server.ask(&method.to_uppercase(), &path.replace("{id}", "x"), &json!({}));
            let is_routed = answer.status != 405 && !answer.body.contains("unknown_url");
            assert!(is_routed, "{method} {path}: {answer:?}");
        }
    }
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(schemas.contains_key(name), "{name} is nowhere");
    }
}
