//! The engine itself: the trait over HTTP.

use std::{fmt, sync::Arc, time::Instant};

use llama_engine::{
    EmbedRequest, Embeddings, EngineError, EngineInfo, GenerateRequest, LlamaEngine, PinnedContext, Prompt,
    TokenStream, Usage,
};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{
    ConnectError, Dialect, RemoteEngineBuilder, RemoteError,
    answer::{Answer, StandardReading},
    body::EventBody,
    details::DetailedReading,
    dialect, events, extended,
    models::Model,
    pins::Pins,
    reply::{TokenList, TokenText},
    standard,
    transport::{Call, Effect, Reply, Transport},
    vectors,
};

/// The header in which our own server names an answer while it comes.
const ANSWER_ID: &str = "x-answer-id";
/// Most bytes of an answer in one piece: a batch of embeddings is the longest.
const ANSWER_LIMIT_BYTES: usize = 256 << 20;

/// An engine on other machines. Clones share connections and what is known of the endpoints. Its methods need a tokio runtime
/// around them; streams can be read, and dropped, anywhere.
#[derive(Clone)]
pub struct RemoteEngine {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Arc<Transport>,
    model: Model,
    runtime: Handle,
    pins: Arc<Pins>,
}

impl RemoteEngine {
    /// Connects to one server, with the defaults for everything else.
    ///
    /// # Errors
    /// As [`RemoteEngineBuilder::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Self, ConnectError> {
        Self::builder().endpoint(url).connect().await
    }

    /// Says where to connect, and how.
    pub fn builder() -> RemoteEngineBuilder {
        RemoteEngineBuilder::default()
    }

    pub(crate) fn new(transport: Arc<Transport>, model: Model, runtime: Handle) -> Self {
        let pins = Arc::new(Pins::new(transport.clone(), runtime.clone()));
        Self { inner: Arc::new(Inner { transport, model, runtime, pins }) }
    }

    /// What the servers understand.
    pub fn dialect(&self) -> Dialect {
        self.inner.model.dialect
    }

    /// The endpoints, and whether each takes part at the moment.
    pub fn endpoints(&self) -> Vec<(String, bool)> {
        let transport = &self.inner.transport;
        transport.urls.iter().cloned().zip(transport.pool.are_in()).collect()
    }
}

impl LlamaEngine for RemoteEngine {
    fn info(&self) -> &EngineInfo {
        &self.inner.model.info
    }

    async fn generate(&self, request: GenerateRequest) -> Result<TokenStream, EngineError> {
        self.dialect().check(&request)?;
        match self.dialect() {
            Dialect::OpenAi => self.inner.generate_standard(&request).await,
            Dialect::LlamaRs => self.inner.generate_extended(&request).await,
        }
    }

    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, EngineError> {
        self.dialect().check_embedding(&request)?;
        match self.dialect() {
            Dialect::OpenAi => self.inner.embed_standard(request).await,
            Dialect::LlamaRs => self.inner.embed_extended(request).await,
        }
    }

    async fn pin(&self, prompt: Prompt) -> Result<PinnedContext, EngineError> {
        if self.dialect() == Dialect::OpenAi {
            return Err(dialect::unsupported("pin"));
        }
        let body = extended::context(&prompt, &self.info().model)?;
        let inner = self.inner.clone();
        // On its own: a caller that stops waiting must not leave a context that nobody lets go.
        let pinning = self.inner.runtime.spawn(async move { inner.pin(body).await });
        pinning.await.unwrap_or(Err(EngineError::Stopped))
    }

    async fn tokenize(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        let model = &self.info().model;
        let body = match self.dialect() {
            Dialect::LlamaRs => json!({"model": model, "text": text}),
            // llama.cpp calls it content, vLLM prompt; neither minds the other's name.
            Dialect::OpenAi => json!({
                "model": model, "content": text, "prompt": text,
                "add_special": false, "add_special_tokens": false, "parse_special": false,
            }),
        };
        let list: TokenList = self.inner.ask("/tokenize", &body).await?;
        Ok(list.tokens)
    }

    async fn detokenize(&self, tokens: &[u32]) -> Result<String, EngineError> {
        // Servers are lenient about ids that no token has.
        let vocab_size = self.info().vocab_size;
        if let Some(token) = tokens.iter().find(|&&token| token as usize >= vocab_size) {
            let reason = format!("token {token} is outside the vocabulary of {vocab_size}");
            return Err(EngineError::InvalidRequest { field: "tokens", reason });
        }
        let body = json!({"model": self.info().model, "tokens": tokens});
        let text: TokenText = self.inner.ask("/detokenize", &body).await?;
        Ok(text.content)
    }
}

impl fmt::Debug for RemoteEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEngine")
            .field("endpoints", &self.endpoints())
            .field("info", self.info())
            .finish()
    }
}

impl Inner {
    async fn generate_standard(&self, request: &GenerateRequest) -> Result<TokenStream, EngineError> {
        let started = Instant::now();
        let (path, body) = standard::generation(request, &self.model.info.model)?;
        let reply = self.transport.send(&post(path, body, Effect::Some)).await?;
        let body = EventBody::new(self.transport.clone(), reply);
        let reading = StandardReading::new(body.url(), request, started);
        let stop = reading.stopper();
        Ok(TokenStream::new(Answer::new(body, reading), stop))
    }

    async fn embed_standard(&self, request: EmbedRequest) -> Result<Embeddings, EngineError> {
        let dimensions = vectors::check(&request, &self.model.info.embedding)?;
        let (mut all, mut usage) = (Vec::new(), Usage::default());
        for texts in request.texts.chunks(vectors::BATCH_LEN) {
            let body = vectors::request(texts, request.instruction.as_deref(), &self.model.info.model);
            let (url, body) = self.ask_bytes("/v1/embeddings", body).await?;
            let batch = vectors::read(&body, texts.len())
                .map_err(|reason| EngineError::from(RemoteError::Protocol { url, reason }))?;
            all.extend(batch.vectors);
            usage.prompt_tokens += batch.usage.prompt_tokens;
        }
        vectors::shape(&mut all, dimensions);
        Ok(Embeddings { vectors: all, dimensions, cut_texts: Vec::new(), usage })
    }

    async fn generate_extended(&self, request: &GenerateRequest) -> Result<TokenStream, EngineError> {
        let context = request.context.as_ref().map(|context| self.pins.find(context)).transpose()?;
        let (endpoint, context) = context.unzip();
        let (path, body) = extended::generation(request, &self.model.info.model, context)?;
        let call = post(path, body, Effect::Some);
        let reply = match endpoint {
            None => self.transport.send(&call).await?,
            Some(endpoint) => self.transport.send_to(endpoint, &call).await?,
        };
        let (endpoint, stop) = (reply.endpoint, self.stopper(&reply));
        let body = EventBody::new(self.transport.clone(), reply);
        let reading = DetailedReading::new(body.url(), endpoint, self.pins.clone());
        Ok(TokenStream::new(Answer::new(body, reading), stop))
    }

    /// Asks the server for an early end of an answer.
    fn stopper(&self, reply: &Reply) -> impl FnOnce() + Send + 'static {
        let (transport, runtime, endpoint) = (self.transport.clone(), self.runtime.clone(), reply.endpoint);
        let id = reply.response.headers().get(ANSWER_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        move || {
            let Some(id) = id else { return };
            let call = post(&format!("/v1/answers/{id}/stop"), Vec::new(), Effect::None);
            runtime.spawn(async move {
                if let Err(error) = transport.send_to(endpoint, &call).await {
                    // An answer that is over needs no stopping.
                    events::answer_not_stopped(&error);
                }
            });
        }
    }

    async fn embed_extended(&self, request: EmbedRequest) -> Result<Embeddings, EngineError> {
        let dimensions = self.model.info.embedding.dimensions(request.dimensions)?;
        let (mut all, mut cut_texts, mut usage) = (Vec::new(), Vec::new(), Usage::default());
        for (i, texts) in request.texts.chunks(vectors::BATCH_LEN).enumerate() {
            let body = extended::embedding(&request, texts, &self.model.info.model);
            let (url, body) = self.ask_bytes("/v1/embeddings", body).await?;
            let batch = vectors::read(&body, texts.len())
                .map_err(|reason| EngineError::from(RemoteError::Protocol { url, reason }))?;
            all.extend(batch.vectors);
            cut_texts.extend(batch.cut_texts.iter().map(|text| i * vectors::BATCH_LEN + text));
            usage.prompt_tokens += batch.usage.prompt_tokens;
        }
        Ok(Embeddings { vectors: all, dimensions, cut_texts, usage })
    }

    async fn pin(&self, body: Vec<u8>) -> Result<PinnedContext, EngineError> {
        let reply = self.transport.send(&post("/v1/contexts", body, Effect::Some)).await?;
        let endpoint = reply.endpoint;
        let answer = self.transport.read(reply, ANSWER_LIMIT_BYTES).await?;
        let context = serde_json::from_slice(&answer).map_err(|error| RemoteError::Protocol {
            url: self.transport.urls[endpoint].clone(),
            reason: format!("no context: {error}"),
        })?;
        Ok(self.pins.adopt(endpoint, context))
    }

    /// Asks for something that changes nothing, and reads the answer.
    async fn ask<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, EngineError> {
        let (url, answer) = self.ask_bytes(path, body.to_string().into_bytes()).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| RemoteError::Protocol { url, reason: format!("{path}: {error}") }.into())
    }

    async fn ask_bytes(&self, path: &str, body: Vec<u8>) -> Result<(String, Vec<u8>), EngineError> {
        let reply = self.transport.send(&post(path, body, Effect::None)).await?;
        let url = self.transport.urls[reply.endpoint].clone();
        Ok((url, self.transport.read(reply, ANSWER_LIMIT_BYTES).await?))
    }
}

fn post(path: &str, body: Vec<u8>, effect: Effect) -> Call {
    Call { method: Method::POST, path: path.to_owned(), body: Some(body.into()), effect }
}
