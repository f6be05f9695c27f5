//! `/v1/embeddings`.

use axum::{Extension, extract::State};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use llama_engine::{Dimensions, Embeddings, LlamaEngine};
use llama_openai::{Embedding, EmbeddingRequest, EmbeddingResponse, EmbeddingUsage, EncodingFormat, Vector};

use crate::{
    body::Json,
    convert,
    error::ApiError,
    metrics::{RequestObserver, RequestSpan},
    state::App,
};

pub(crate) async fn create<E: LlamaEngine + 'static>(
    State(app): State<App<E>>,
    Extension(span): Extension<RequestSpan>,
    Json(request): Json<EmbeddingRequest>,
) -> Result<axum::Json<EmbeddingResponse>, ApiError> {
    let observer = RequestObserver::begin(&app.metrics, "embeddings", span);
    let limits = &app.config.limits;
    let format = request.input.encoding_format.unwrap_or_default();
    let request = convert::embed_request(request)?;
    convert::check_answers("input", request.texts.len(), limits.max_answers)?;
    let _place = app.admission.enter(1).await?;
    let embedded = tokio::time::timeout(limits.max_time, app.engine.embed(request)).await;
    let embeddings = embedded.map_err(|_| ApiError::out_of_time())??;
    observer.embedded(&embeddings);
    Ok(axum::Json(response(embeddings, format, app.engine.info().model.clone())))
}

fn response(embeddings: Embeddings, format: EncodingFormat, model: String) -> EmbeddingResponse {
    let tokens = embeddings.usage.prompt_tokens as u64;
    let data = embeddings.vectors.into_iter().enumerate().map(|(i, vector)| Embedding {
        object: "embedding".to_owned(),
        index: i as u32,
        embedding: match format {
            EncodingFormat::Float => Vector::Float(vector),
            EncodingFormat::Base64 => Vector::Base64(base64(&vector)),
        },
    });
    EmbeddingResponse {
        object: "list".to_owned(),
        data: data.collect(),
        model,
        usage: EmbeddingUsage { prompt_tokens: tokens, total_tokens: tokens },
        trained_dimensions: Some(matches!(embeddings.dimensions, Dimensions::Trained(_))),
        cut_texts: Some(embeddings.cut_texts.into_iter().map(|i| i as u64).collect()),
    }
}

fn base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}
