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
    dialect,
    models::Model,
    reply::{TokenList, TokenText},
    standard,
    transport::{Call, Effect, Transport},
    vectors,
};

/// Most bytes of an answer in one piece: a batch of embeddings is the longest.
const ANSWER_LIMIT_BYTES: usize = 256 << 20;

/// An engine on other machines. Clones share connections and what is known of the endpoints. Its methods need a tokio runtime
/// around them; streams can be read, and dropped, anywhere.
#[derive(Clone)]
pub struct RemoteEngine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) transport: Arc<Transport>,
    pub(crate) model: Model,
    pub(crate) runtime: Handle,
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
        Self { inner: Arc::new(Inner { transport, model, runtime }) }
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
        self.inner.generate_standard(&request).await
    }

    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, EngineError> {
        self.dialect().check_embedding(&request)?;
        self.inner.embed_standard(request).await
    }

    async fn pin(&self, _prompt: Prompt) -> Result<PinnedContext, EngineError> {
        Err(dialect::unsupported("pin"))
    }

    async fn tokenize(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        // llama.cpp calls it content, vLLM prompt; neither minds the other's name.
        let body = json!({
            "model": self.info().model, "content": text, "prompt": text,
            "add_special": false, "add_special_tokens": false, "parse_special": false,
        });
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
        f.debug_struct("RemoteEngine").field("endpoints", &self.endpoints()).field("info", self.info()).finish()
    }
}

impl Inner {
    async fn generate_standard(&self, request: &GenerateRequest) -> Result<TokenStream, EngineError> {
        let started = Instant::now();
        let composed = standard::generation(request, &self.model.info.model)?;
        let body = Value::Object(composed.body);
        let reply = self.transport.send(&post(composed.path, &body, Effect::Some)).await?;
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
            let (url, body) = self.ask_bytes("/v1/embeddings", &body).await?;
            let (vectors, batch) = vectors::read(&body, texts.len())
                .map_err(|reason| EngineError::from(RemoteError::Protocol { url, reason }))?;
            all.extend(vectors);
            usage.prompt_tokens += batch.prompt_tokens;
        }
        vectors::shape(&mut all, dimensions);
        Ok(Embeddings { vectors: all, dimensions, cut_texts: Vec::new(), usage })
    }

    /// Asks for something that changes nothing, and reads the answer.
    async fn ask<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, EngineError> {
        let (url, answer) = self.ask_bytes(path, body).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| RemoteError::Protocol { url, reason: format!("{path}: {error}") }.into())
    }

    async fn ask_bytes(&self, path: &str, body: &Value) -> Result<(String, Vec<u8>), EngineError> {
        let reply = self.transport.send(&post(path, body, Effect::None)).await?;
        let url = self.transport.urls[reply.endpoint].clone();
        Ok((url, self.transport.read(reply, ANSWER_LIMIT_BYTES).await?))
    }
}

pub(crate) fn post(path: &str, body: &Value, effect: Effect) -> Call {
    let body = body.to_string().into_bytes().into();
    Call { method: Method::POST, path: path.to_owned(), body: Some(body), effect }
}
