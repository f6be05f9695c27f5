//! The embedding model.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use llama_engine::{EmbedRequest, EngineError, LlamaEngine};
use rig_core::{
    Model, ProviderError,
    completion::Usage,
    driver::{Exchange, Local, Opened, Opening, Step, Transport},
    embeddings::{self, EmbeddingResponse},
    operation::Embedding,
    wire::Capabilities,
};

use super::{PROVIDER, error::provider_error};

/// Texts of one call. The engine divides them into batches; this only bounds how long a call takes.
const MAX_TEXTS: usize = 1024;

/// An engine's embeddings.
pub type EmbeddingModel<E> = Model<Local<Embedding>, Embedder<E>>;

/// Embeds with these options; their texts are replaced. rig does not say what texts are for: a model that was trained with prefixes for
/// queries and documents is made twice, once for each.
///
/// # Errors
/// If vectors cannot have the size that the options ask for.
pub fn embedding_model<E: LlamaEngine + 'static>(
    engine: Arc<E>,
    options: EmbedRequest,
) -> Result<EmbeddingModel<E>, EngineError> {
    let info = engine.info();
    let dimensions = info.embedding.dimensions(options.dimensions)?.len();
    let wire = Local::new(PROVIDER)
        .with_id(info.model.clone())
        .with_capabilities(Capabilities::embedding(MAX_TEXTS, dimensions));
    Ok(Model::new(wire, Embedder { engine, options: Arc::new(options) }))
}

/// Takes texts to an engine.
#[derive(Debug)]
pub struct Embedder<E> {
    engine: Arc<E>,
    options: Arc<EmbedRequest>,
}

// Derived, it would ask for `E: Clone`.
impl<E> Clone for Embedder<E> {
    fn clone(&self) -> Self {
        Self { engine: self.engine.clone(), options: self.options.clone() }
    }
}

impl<E: LlamaEngine + 'static> Transport<Local<Embedding>> for Embedder<E> {
    fn send(&self, texts: Vec<String>, _: Exchange) -> Opening<Step<Embedding>> {
        let Self { engine, options } = self.clone();
        Opening::new(async move {
            let request = EmbedRequest { texts, ..(*options).clone() };
            let response = embed(&*engine, request).await.map_err(provider_error)?;
            Ok(Opened::new(Once(Some(Step::End(response)))))
        })
    }
}

async fn embed<E: LlamaEngine>(engine: &E, request: EmbedRequest) -> Result<EmbeddingResponse, EngineError> {
    let embedded = engine.embed(request).await?;
    let num_tokens = embedded.usage.prompt_tokens as u64;
    // rig pairs vectors with their texts itself.
    let vectors = embedded.vectors.into_iter().map(|vector| embeddings::Embedding {
        document: String::new(),
        vec: vector.into_iter().map(f64::from).collect(),
    });
    let mut response = EmbeddingResponse::new(vectors.collect());
    response.usage = Usage::new().input_tokens(num_tokens).total_tokens(num_tokens);
    response.model = Some(engine.info().model.clone());
    Ok(response)
}

/// A reply of one frame.
struct Once(Option<Step<Embedding>>);

impl Stream for Once {
    type Item = Result<Step<Embedding>, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}
