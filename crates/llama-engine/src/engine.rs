//! The trait itself.

use std::future::Future;

use crate::{
    EmbedRequest, EmbeddingInfo, Embeddings, EngineError, GenerateRequest, PinnedContext, Prompt, TokenStream,
};

/// What a model can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModelKind {
    /// Everything: it continues texts and embeds them.
    #[default]
    Decoder,
    /// It embeds, and cannot say anything: what would generate or pin is [`EngineError::Unsupported`].
    Encoder,
}

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// Name of the model.
    pub model: String,
    /// Longest sequence, prompt and answer together, in tokens.
    pub context_len: usize,
    /// Number of token ids.
    pub vocab_size: usize,
    /// What the model can do.
    pub kind: ModelKind,
    /// What its embeddings are like.
    pub embedding: EmbeddingInfo,
    /// Where it computes, for people.
    pub device: String,
    /// Tokens per cache block: the grain in which prefixes are shared.
    pub block_len: usize,
}

/// A language model that can be asked. Cheap to share: all methods take `&self` and may run at the same time.
pub trait LlamaEngine: Send + Sync {
    /// What this engine is.
    fn info(&self) -> &EngineInfo;

    /// Starts a generation. Dropping the stream cancels it.
    ///
    /// # Errors
    /// At once for a request that can never run or a full queue; later errors arrive as the stream's last item.
    fn generate(
        &self,
        request: GenerateRequest,
    ) -> impl Future<Output = Result<TokenStream, EngineError>> + Send;

    /// Starts `num_samples` generations of one request; sample `i` is that of [`GenerateRequest::for_sample`]. An
    /// engine that can computes the prompt once for all of them.
    ///
    /// # Errors
    /// As [`LlamaEngine::generate`], and if `num_samples` is zero; then none has been started.
    fn generate_n(
        &self,
        request: GenerateRequest,
        num_samples: usize,
    ) -> impl Future<Output = Result<Vec<TokenStream>, EngineError>> + Send {
        async move {
            if num_samples == 0 {
                let reason = "0, expected at least 1".to_owned();
                return Err(EngineError::InvalidRequest { field: "num_samples", reason });
            }
            let mut streams = Vec::with_capacity(num_samples);
            for i in 0..num_samples {
                streams.push(self.generate(request.clone().for_sample(i)).await?);
            }
            Ok(streams)
        }
    }

    /// Embeds many texts, in the order given.
    ///
    /// # Errors
    /// If a text is longer than the model reads, has no tokens (it is empty, and the model puts none around a text), or the options do not fit the
    /// model.
    fn embed(&self, request: EmbedRequest) -> impl Future<Output = Result<Embeddings, EngineError>> + Send;

    /// Computes a prompt once and keeps it until the last clone of the handle is dropped.
    ///
    /// # Errors
    /// [`EngineError::DoesNotFit`] if the cache cannot hold it.
    fn pin(&self, prompt: Prompt) -> impl Future<Output = Result<PinnedContext, EngineError>> + Send;

    /// Token ids of a text, without special tokens.
    ///
    /// # Errors
    /// If the tokenizer fails.
    fn tokenize(&self, text: &str) -> impl Future<Output = Result<Vec<u32>, EngineError>> + Send;

    /// Text of token ids, special tokens left out.
    ///
    /// # Errors
    /// If an id is outside the vocabulary.
    fn detokenize(&self, tokens: &[u32]) -> impl Future<Output = Result<String, EngineError>> + Send;
}
