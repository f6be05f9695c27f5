//! `/v1/answers`: ending an answer early, with what there is of it.

use axum::{
    Extension,
    extract::{Path, State},
    http::StatusCode,
};
use llama_engine::LlamaEngine;
use llama_openai::AnswerStopped;

use crate::{auth::Client, error::ApiError, state::App};

/// Asks for an early end. The stream still ends as streams do, and says that it was interrupted.
pub(crate) async fn stop<E: LlamaEngine + 'static>(
    State(app): State<App<E>>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
) -> Result<axum::Json<AnswerStopped>, ApiError> {
    if app.answers.stop(&id, client) {
        return Ok(axum::Json(AnswerStopped { id, object: "answer.stopped".to_owned(), stopped: true }));
    }
    Err(ApiError::new(StatusCode::NOT_FOUND, "unknown_answer", "there is no such answer, or no longer"))
}
