//! Keys.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::Response,
};
use llama_engine::LlamaEngine;

use crate::{ApiKey, error::ApiError, state::App};

/// Who asks: one of the keys, or nobody in particular where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client(Option<ApiKey>);

/// Lets those pass who show a key, and notes which.
pub(crate) async fn check<E: LlamaEngine>(
    State(app): State<App<E>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let client = client(&app.config.keys, request.headers())?;
    request.extensions_mut().insert(client);
    Ok(next.run(request).await)
}

fn client(keys: &[ApiKey], headers: &HeaderMap) -> Result<Client, ApiError> {
    if keys.is_empty() {
        return Ok(Client(None));
    }
    let refused = |message| Err(ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message));
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(shown) = shown.and_then(|value| value.strip_prefix("Bearer ")) else {
        return refused("a key is needed: `Authorization: Bearer <key>`");
    };
    let shown = ApiKey::new(shown.trim());
    // All are compared, so that the time does not say which one it is.
    let known = keys.iter().fold(false, |known, key| key.matches(&shown) | known);
    if known { Ok(Client(Some(shown))) } else { refused("the key is not known") }
}
