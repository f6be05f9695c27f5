//! `/openapi.json`: what there is, for programs.

use axum::Json;
use llama_openai as wire;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

/// The types of bodies.
#[derive(OpenApi)]
#[openapi(components(schemas(
    wire::ChatRequest,
    wire::ChatResponse,
    wire::ChatChunk,
    wire::CompletionRequest,
    wire::CompletionResponse,
    wire::EmbeddingRequest,
    wire::EmbeddingResponse,
    wire::ModelList,
    wire::Model,
    wire::TokenizeRequest,
    wire::TokenizeResponse,
    wire::DetokenizeRequest,
    wire::DetokenizeResponse,
    wire::Health,
    wire::ContextRequest,
    wire::ContextAnswer,
    wire::ContextList,
    wire::ContextDeleted,
    wire::ErrorResponse,
)))]
struct Types;

/// A route: its method, its path, what it does, and the types of its body and its answer.
type Route = (&'static str, &'static str, &'static str, Option<&'static str>, &'static str);

const ROUTES: [Route; 14] = [
    ("post", "/v1/chat/completions", "Continue a conversation", Some("ChatRequest"), "ChatResponse"),
    ("post", "/v1/completions", "Continue a text", Some("CompletionRequest"), "CompletionResponse"),
    ("post", "/v1/embeddings", "Embed texts", Some("EmbeddingRequest"), "EmbeddingResponse"),
    ("get", "/v1/models", "The model that there is", None, "ModelList"),
    ("get", "/v1/models/{id}", "One model", None, "Model"),
    ("post", "/v1/contexts", "Compute a prompt and keep it", Some("ContextRequest"), "ContextAnswer"),
    ("get", "/v1/contexts", "What is kept", None, "ContextList"),
    ("delete", "/v1/contexts/{id}", "Let a context go", None, "ContextDeleted"),
    ("post", "/tokenize", "Tokens of a text", Some("TokenizeRequest"), "TokenizeResponse"),
    ("post", "/detokenize", "Text of tokens", Some("DetokenizeRequest"), "DetokenizeResponse"),
    ("get", "/health", "Whether the server wants work", None, "Health"),
    ("get", "/health/ready", "Whether the server wants work", None, "Health"),
    ("get", "/health/live", "Whether the server lives", None, "Health"),
    ("get", "/openapi.json", "This document", None, ""),
];

/// The document.
pub(crate) async fn document() -> Json<Value> {
    let types = serde_json::to_value(Types::openapi()).unwrap_or_default();
    let mut paths = Map::new();
    for route in &ROUTES {
        let methods = paths.entry(route.1).or_insert_with(|| json!({}));
        methods[route.0] = operation(route);
    }
    Json(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "llama.rs",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "OpenAI's API over one model, with extensions. Fields that are not listed are refused.",
        },
        "paths": paths,
        "components": {
            "schemas": types["components"]["schemas"],
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{}, { "key": [] }],
    }))
}

fn operation((_, path, summary, body, answer): &Route) -> Value {
    let content = |name: &str| {
        let schema = if name.is_empty() {
            json!({})
        } else {
            json!({ "$ref": format!("#/components/schemas/{name}") })
        };
        json!({ "application/json": { "schema": schema } })
    };
    let mut success = content(answer);
    // With `stream`, events come instead.
    if path.ends_with("completions") {
        success["text/event-stream"] = json!({ "schema": { "type": "string" } });
    }
    let mut operation = json!({
        "summary": summary,
        "responses": {
            "200": { "description": "Success", "content": success },
            "default": { "description": "An error", "content": content(if path.starts_with("/health") { "Health" } else { "ErrorResponse" }) },
        },
    });
    if let Some(body) = body {
        operation["requestBody"] = json!({ "required": true, "content": content(body) });
    }
    if path.contains("{id}") {
        operation["parameters"] =
            json!([{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }]);
    }
    operation
}
