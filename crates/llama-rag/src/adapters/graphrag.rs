//! [`graphrag_core`]'s embedder and language model.
//!
//! Its errors carry text alone: an engine's error becomes the variant that says what kind it is, with the whole chain of causes
//! written out.
//!
//! ```
//! use std::sync::Arc;
//!
//! use graphrag_core::core::traits::{BoxedAsyncEmbedder, BoxedAsyncLanguageModel};
//! use llama_engine::{EmbedRequest, EngineError, GenerateRequest, LlamaEngine};
//! use llama_rag::adapters::{PromptForm, graphrag::{EngineEmbedder, EngineLanguageModel}};
//!
//! fn models<E: LlamaEngine + 'static>(
//!     engine: Arc<E>,
//! ) -> Result<(BoxedAsyncEmbedder, BoxedAsyncLanguageModel), EngineError> {
//!     let embedder = EngineEmbedder::new(engine.clone(), EmbedRequest::default())?;
//!     let request = GenerateRequest::new("").with_max_tokens(256);
//!     Ok((Box::new(embedder), Box::new(EngineLanguageModel::new(engine, PromptForm::Chat, request))))
//! }
//! ```

use std::{
    collections::VecDeque,
    error::Error,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use futures_core::Stream;
use graphrag_core::core::{
    GraphRAGError, Result,
    traits::{AsyncEmbedder, AsyncLanguageModel, GenerationParams, ModelInfo, ModelUsageStats},
};
use llama_engine::{
    EmbedRequest, EngineError, Event, Finished, GenerateRequest, LlamaEngine, ModelKind, TokenStream,
};

use super::PromptForm;

/// Embeds with an engine.
pub struct EngineEmbedder<E> {
    engine: Arc<E>,
    options: EmbedRequest,
    dimension: usize,
}

impl<E: LlamaEngine> EngineEmbedder<E> {
    /// Embeds with these options; their texts are replaced.
    ///
    /// # Errors
    /// If vectors cannot have the size that the options ask for.
    pub fn new(engine: Arc<E>, options: EmbedRequest) -> std::result::Result<Self, EngineError> {
        let dimension = engine.info().embedding.dimensions(options.dimensions)?.len();
        Ok(Self { engine, options, dimension })
    }
}

#[async_trait]
impl<E: LlamaEngine + 'static> AsyncEmbedder for EngineEmbedder<E> {
    type Error = GraphRAGError;

    async fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let vector = self.embed_batch(&[text]).await?.pop();
        vector.ok_or_else(|| GraphRAGError::Embedding { message: "no vector for the text".to_owned() })
    }

    async fn embed_batch(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        let request = EmbedRequest { texts, ..self.options.clone() };
        let embedded = self.engine.embed(request).await;
        embedded
            .map(|embeddings| embeddings.vectors)
            .map_err(|error| refusal(error, |message| GraphRAGError::Embedding { message }))
    }

    /// One call: the engine divides texts into batches itself.
    async fn embed_batch_concurrent(&self, texts: &[&str], _max_concurrent: usize) -> Result<Vec<Vec<f32>>> {
        self.embed_batch(texts).await
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    async fn is_ready(&self) -> bool {
        true
    }
}

/// Generates with an engine.
pub struct EngineLanguageModel<E> {
    engine: Arc<E>,
    form: PromptForm,
    options: GenerateRequest,
    totals: Arc<Totals>,
}

impl<E: LlamaEngine> EngineLanguageModel<E> {
    /// Generates with these options; their prompt is replaced, and so are fields that a call's own parameters set.
    pub fn new(engine: Arc<E>, form: PromptForm, options: GenerateRequest) -> Self {
        Self { engine, form, options, totals: Arc::default() }
    }

    fn request(&self, prompt: &str) -> GenerateRequest {
        GenerateRequest { prompt: self.form.of_text(prompt), ..self.options.clone() }
    }

    async fn start(&self, request: GenerateRequest) -> std::result::Result<TextStream, EngineError> {
        let started = self.engine.generate(request).await;
        let stream = started.inspect_err(|_| self.totals.failed())?;
        Ok(TextStream { stream, totals: self.totals.clone() })
    }

    async fn complete_request(&self, request: GenerateRequest) -> Result<String> {
        self.start(request).await.map_err(generation_error)?.collect().await
    }
}

#[async_trait]
impl<E: LlamaEngine + 'static> AsyncLanguageModel for EngineLanguageModel<E> {
    type Error = GraphRAGError;

    async fn complete(&self, prompt: &str) -> Result<String> {
        self.complete_request(self.request(prompt)).await
    }

    async fn complete_with_params(&self, prompt: &str, params: GenerationParams) -> Result<String> {
        let GenerationParams { max_tokens, temperature, top_p, stop_sequences } = params;
        let mut request = self.request(prompt);
        request.max_tokens = max_tokens.or(request.max_tokens);
        request.sampling.temperature = temperature.unwrap_or(request.sampling.temperature);
        request.sampling.top_p = top_p.or(request.sampling.top_p);
        request.stop = stop_sequences.unwrap_or(request.stop);
        self.complete_request(request).await
    }

    /// All at once, as far as the engine's queue takes them.
    async fn complete_batch(&self, prompts: &[&str]) -> Result<Vec<String>> {
        let (mut running, mut answers) = (VecDeque::new(), Vec::with_capacity(prompts.len()));
        for prompt in prompts {
            let stream = loop {
                match self.start(self.request(prompt)).await {
                    Ok(stream) => break stream,
                    Err(error @ EngineError::Overloaded { .. }) => match running.pop_front() {
                        Some(oldest) => answers.push(TextStream::collect(oldest).await?),
                        None => return Err(generation_error(error)),
                    },
                    Err(error) => return Err(generation_error(error)),
                }
            };
            running.push_back(stream);
        }
        for stream in running {
            answers.push(stream.collect().await?);
        }
        Ok(answers)
    }

    async fn complete_streaming(
        &self,
        prompt: &str,
    ) -> Result<Pin<Box<dyn Stream<Item = Result<String>> + Send>>> {
        let stream = self.start(self.request(prompt)).await.map_err(generation_error)?;
        Ok(Box::pin(stream))
    }

    async fn is_available(&self) -> bool {
        self.engine.info().kind == ModelKind::Decoder
    }

    async fn model_info(&self) -> ModelInfo {
        let info = self.engine.info();
        ModelInfo {
            name: info.model.clone(),
            version: None,
            max_context_length: Some(info.context_len),
            supports_streaming: true,
        }
    }

    async fn get_usage_stats(&self) -> Result<ModelUsageStats> {
        Ok(self.totals.stats())
    }

    /// Counted, not estimated.
    async fn estimate_tokens(&self, prompt: &str) -> Result<usize> {
        self.engine.tokenize(prompt).await.map(|tokens| tokens.len()).map_err(generation_error)
    }
}

/// The texts of a generation.
struct TextStream {
    stream: TokenStream,
    totals: Arc<Totals>,
}

impl TextStream {
    async fn collect(mut self) -> Result<String> {
        let mut answer = String::new();
        while let Some(text) = std::future::poll_fn(|context| Pin::new(&mut self).poll_next(context)).await {
            answer.push_str(&text?);
        }
        Ok(answer)
    }
}

impl Stream for TextStream {
    type Item = Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let text = match ready!(Pin::new(&mut self.stream).poll_next(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    self.totals.failed();
                    return Poll::Ready(Some(Err(generation_error(error))));
                }
                Some(Ok(Event::Token(token))) => token.text,
                Some(Ok(Event::Finished(finished))) => {
                    self.totals.finished(&finished);
                    finished.text
                }
                Some(Ok(Event::Prompt(_) | Event::Citation(_))) => continue,
            };
            if !text.is_empty() {
                return Poll::Ready(Some(Ok(text)));
            }
        }
    }
}

/// What has been asked so far. A stream that is dropped before its end counts as nothing.
#[derive(Default)]
struct Totals(Mutex<Counts>);

#[derive(Clone, Copy, Default)]
struct Counts {
    finished: u64,
    failed: u64,
    tokens: u64,
    total_ms: f64,
}

impl Totals {
    fn failed(&self) {
        self.counts().failed += 1;
    }

    fn finished(&self, finished: &Finished) {
        let mut counts = self.counts();
        counts.finished += 1;
        counts.tokens += (finished.usage.prompt_tokens + finished.usage.completion_tokens) as u64;
        counts.total_ms += finished.timings.total.as_secs_f64() * 1e3;
    }

    fn stats(&self) -> ModelUsageStats {
        let Counts { finished, failed, tokens, total_ms } = *self.counts();
        let requests = finished + failed;
        let share = |part: f64, whole: u64| if whole == 0 { 0.0 } else { part / whole as f64 };
        ModelUsageStats {
            total_requests: requests,
            total_tokens_processed: tokens,
            average_response_time_ms: share(total_ms, finished),
            error_rate: share(failed as f64, requests),
        }
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        // Numbers are whole whoever panicked beside them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn generation_error(error: EngineError) -> GraphRAGError {
    refusal(error, |message| GraphRAGError::Generation { message })
}

/// The variant that says what kind of error it is; `other` where none does.
fn refusal(error: EngineError, other: fn(String) -> GraphRAGError) -> GraphRAGError {
    let message = with_causes(&error);
    match error {
        EngineError::InvalidRequest { .. } | EngineError::InvalidGrammar { .. } => {
            GraphRAGError::Validation { message }
        }
        EngineError::ContextTooLong { context_len, .. } => {
            GraphRAGError::ResourceLimit { resource: message, limit: context_len }
        }
        EngineError::DoesNotFit { total_blocks, .. } => {
            GraphRAGError::ResourceLimit { resource: message, limit: total_blocks }
        }
        EngineError::Overloaded { .. } => GraphRAGError::RateLimit { message },
        EngineError::Unsupported { what } => GraphRAGError::Unsupported { operation: what, reason: message },
        _ => other(message),
    }
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_kind_and_their_causes() {
        let cause = std::io::Error::other("the disk is gone");
        let refused = generation_error(EngineError::Model(Box::new(cause)));
        assert!(
            matches!(&refused, GraphRAGError::Generation { message } if message == "the model failed: the disk is gone"),
            "{refused:?}"
        );
        let refused = generation_error(EngineError::ContextTooLong { needed: 9, context_len: 8 });
        assert!(matches!(refused, GraphRAGError::ResourceLimit { limit: 8, .. }), "{refused:?}");
        let refused = generation_error(EngineError::Overloaded { limit: 4 });
        assert!(
            matches!(refused, GraphRAGError::RateLimit { .. }) && refused.is_recoverable(),
            "{refused:?}"
        );
    }
}
