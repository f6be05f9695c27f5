//! `/health`: whether the process lives, and whether it wants work.

use axum::{Json, extract::State, http::StatusCode};
use llama_engine::LlamaEngine;
use llama_openai::Health;

use crate::state::App;

/// It lives if it answers.
pub(crate) async fn live() -> Json<Health> {
    Json(Health { status: "ok".to_owned() })
}

/// It wants no more work once it is stopping.
pub(crate) async fn ready<E: LlamaEngine + 'static>(State(app): State<App<E>>) -> (StatusCode, Json<Health>) {
    let (status, text) = match app.is_stopping() {
        false => (StatusCode::OK, "ok"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    (status, Json(Health { status: text.to_owned() }))
}
