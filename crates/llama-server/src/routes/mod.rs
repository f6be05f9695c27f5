//! What is served: one file for each resource, one line for each in [`of`].

mod answers;
mod chat;
mod completions;
mod contexts;
mod embeddings;
mod health;
mod models;
mod openapi;
mod tokens;

use axum::{
    Router,
    http::{HeaderValue, Method, StatusCode, header},
    middleware,
    routing::{delete, get, post},
};
use llama_engine::LlamaEngine;
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};

use crate::{ServerConfig, auth, error::ApiError, error::panicked, metrics, state::App};

/// All routes over an engine. Limits of connections and of slow clients are [`crate::Server`]'s.
pub fn router<E: LlamaEngine + 'static>(engine: E, config: ServerConfig) -> Router {
    of(App::new(engine, config))
}

/// All routes.
pub(crate) fn of<E: LlamaEngine + 'static>(app: App<E>) -> Router {
    let asked = Router::new()
        .route("/v1/chat/completions", post(chat::create))
        .route("/v1/completions", post(completions::create))
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1/answers/{id}/stop", post(answers::stop))
        .route("/v1/contexts", post(contexts::pin).get(contexts::list))
        .route("/v1/contexts/{id}", delete(contexts::delete))
        .route("/tokenize", post(tokens::tokenize))
        .route("/detokenize", post(tokens::detokenize))
        .route_layer(middleware::from_fn_with_state(app.clone(), auth::check::<E>));
    let open = Router::new()
        .route("/health", get(health::ready))
        .route("/health/ready", get(health::ready))
        .route("/health/live", get(health::live))
        .route("/openapi.json", get(openapi::document))
        .route("/metrics", get(metrics::show::<E>));
    let cors = cors(&app.config.cors_origins);
    asked
        .merge(open)
        .fallback(async || {
            ApiError::new(StatusCode::NOT_FOUND, "unknown_url", "there is nothing at this address")
        })
        .method_not_allowed_fallback(async || {
            let message = "this address does not answer to this method";
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.metrics.clone(), metrics::count))
        .layer(cors)
        .with_state(app)
}

/// Says nothing to web pages of other origins, unless some are configured.
fn cors(origins: &[String]) -> CorsLayer {
    if origins.is_empty() {
        return CorsLayer::new();
    }
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE]);
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(tower_http::cors::Any);
    }
    layer.allow_origin(
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect::<Vec<_>>(),
    )
}
