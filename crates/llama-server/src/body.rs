//! Reading a request's body: as JSON, within its limits of size and time.

use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use llama_engine::LlamaEngine;
use serde::de::DeserializeOwned;

use crate::{error::ApiError, state::App};

/// A body of this type.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, E: LlamaEngine + 'static> FromRequest<App<E>> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App<E>) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            let message = "the body must be JSON, and `Content-Type: application/json` must say so";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
        }
        let limits = &app.config.limits;
        let bytes =
            tokio::time::timeout(limits.client_timeout, read(request.into_body(), limits.max_body_bytes))
                .await
                .map_err(|_| {
                    ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not come in time")
                })??;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| malformed(&error))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn read(body: Body, max_bytes: usize) -> Result<axum::body::Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body is longer than {max_bytes} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    };
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(too_large());
    }
    // A body that breaks off ends the connection too, so nobody reads what it is told.
    to_bytes(body, max_bytes).await.map_err(|_| too_large())
}

/// What is wrong with a body, and in which field, as far as the message says it.
fn malformed(error: &serde_json::Error) -> ApiError {
    if !error.is_data() {
        return ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_json",
            format!("the body is not JSON: {error}"),
        );
    }
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let code = if text.ends_with(": not supported") { "unknown_field" } else { "invalid_value" };
    let error = ApiError::new(StatusCode::BAD_REQUEST, code, text);
    let before_colon = text.split_once(": ").map(|(field, _)| field).filter(|field| !field.contains(' '));
    match before_colon.or_else(|| text.strip_prefix("missing field `")?.strip_suffix('`')) {
        Some(field) => error.with_param(field),
        None => error,
    }
}
