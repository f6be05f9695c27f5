//! `/tokenize` and `/detokenize`.

use axum::extract::State;
use llama_engine::LlamaEngine;
use llama_openai::{DetokenizeRequest, DetokenizeResponse, TokenizeRequest, TokenizeResponse};

use crate::{body::Json, error::ApiError, state::App};

pub(crate) async fn tokenize<E: LlamaEngine + 'static>(
    State(app): State<App<E>>,
    Json(request): Json<TokenizeRequest>,
) -> Result<axum::Json<TokenizeResponse>, ApiError> {
    let tokens = app.engine.tokenize(&request.text).await?;
    let count = tokens.len() as u64;
    Ok(axum::Json(TokenizeResponse { tokens, count }))
}

pub(crate) async fn detokenize<E: LlamaEngine + 'static>(
    State(app): State<App<E>>,
    Json(request): Json<DetokenizeRequest>,
) -> Result<axum::Json<DetokenizeResponse>, ApiError> {
    let vocab_size = app.engine.info().vocab_size;
    if let Some(token) = request.tokens.iter().find(|&&token| token as usize >= vocab_size) {
        let reason = format!("token {token} is outside the vocabulary of {vocab_size}");
        return Err(ApiError::invalid("tokens", reason));
    }
    let text = app.engine.detokenize(&request.tokens).await?;
    Ok(axum::Json(DetokenizeResponse { text }))
}
