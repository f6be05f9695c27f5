//! `/v1/models`: the one model that there is.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use llama_engine::{EngineInfo, LlamaEngine, ModelKind};
use llama_openai::{EmbeddingDetails, EngineDetails, Model, ModelList};

use crate::{convert, error::ApiError, state::App};

pub(crate) async fn list<E: LlamaEngine + 'static>(State(app): State<App<E>>) -> Json<ModelList> {
    let data = vec![model(app.engine.info(), app.created)];
    Json(ModelList { object: "list".to_owned(), data })
}

pub(crate) async fn one<E: LlamaEngine + 'static>(
    State(app): State<App<E>>,
    Path(id): Path<String>,
) -> Result<Json<Model>, ApiError> {
    let model = model(app.engine.info(), app.created);
    if model.id == id {
        return Ok(Json(model));
    }
    Err(ApiError::new(StatusCode::NOT_FOUND, "model_not_found", "there is no such model").with_param("model"))
}

fn model(info: &EngineInfo, created: u64) -> Model {
    let embedding = &info.embedding;
    let embedding = EmbeddingDetails {
        len: embedding.len as u64,
        max_tokens: embedding.max_tokens as u64,
        pooling: convert::pooling_out(embedding.pooling),
        query_prefix: embedding.query_prefix.clone(),
        document_prefix: embedding.document_prefix.clone(),
        trained_dimensions: embedding.trained_dimensions.iter().map(|&len| len as u64).collect(),
    };
    let engine = EngineDetails {
        vocab_size: info.vocab_size as u64,
        generates: info.kind == ModelKind::Decoder,
        device: info.device.clone(),
        block_len: info.block_len as u64,
        embedding,
    };
    Model {
        id: info.model.clone(),
        object: "model".to_owned(),
        created,
        owned_by: "llama.rs".to_owned(),
        max_model_len: Some(info.context_len as u64),
        engine: Some(engine),
    }
}
