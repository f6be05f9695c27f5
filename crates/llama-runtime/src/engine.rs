//! The front of the engine: checks requests, turns text into tokens, and talks to the worker.

use std::{
    fmt,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, OnceLock, atomic::Ordering},
    task::{Context, Poll},
    time::Instant,
};

use futures_channel::{mpsc, oneshot};
use futures_core::Stream;
use llama_engine::{
    Dimensions, EmbedRequest, Embeddings, EngineError, EngineInfo, Event, GenerateRequest, Grammar,
    LlamaEngine, ModelKind, Overlong, PinnedContext, Prompt, TokenStream, Usage,
};
use llama_sampling::{Constraint, GrammarCompiler, GrammarLimits, Processor, Sampler};
use llama_tokenizer::{AddSpecial, DecodeSpecial, ParseSpecial, TokenizerError};

use crate::{
    EngineOptions, EngineStats, LoadError, LoadStage,
    answer_text::AnswerText,
    conversation, events,
    load::{self, Loaded},
    sampling,
    worker::{
        Command, EmbedJob, Ends, Forcing, GenerateJob, Generation, GenerationSpec, Guide, PinJob, Reply,
    },
};

/// The engine that runs here. Clones share one worker; the last one to go lets it finish and end.
#[derive(Clone)]
pub struct CandleEngine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) loaded: Loaded,
    max_waiting: usize,
    pub(crate) grammar_limits: GrammarLimits,
    /// Made when the first request with a grammar arrives.
    pub(crate) grammars: OnceLock<GrammarCompiler>,
}

impl CandleEngine {
    /// Opens a directory in Hugging Face form or a `.gguf` file. Reads headers only: weights are read when a step
    /// first needs them.
    ///
    /// # Errors
    /// [`LoadError`], which names the file and the tensor, field or option at fault.
    pub async fn load(path: impl Into<PathBuf>, options: EngineOptions) -> Result<Self, LoadError> {
        Self::load_with_progress(path, options, |_| {}).await
    }

    /// As [`CandleEngine::load`], and reports each stage from the worker's thread.
    ///
    /// # Errors
    /// As [`CandleEngine::load`].
    pub async fn load_with_progress(
        path: impl Into<PathBuf>,
        options: EngineOptions,
        on_stage: impl Fn(LoadStage) + Send + 'static,
    ) -> Result<Self, LoadError> {
        let (max_waiting, grammar_limits) = (options.max_waiting, options.grammar_limits.clone());
        let loaded = load::load(path.into(), options, on_stage).await?;
        let grammars = OnceLock::new();
        Ok(Self { inner: Arc::new(Inner { loaded, max_waiting, grammar_limits, grammars }) })
    }

    /// As [`LlamaEngine::generate`], with other processors: `change` gets those that the request asks for, and returns
    /// what shall be applied in their place, in order. Tokens that a grammar forces are accepted without being processed. For processors of your own, see [`llama_sampling::Processor`].
    ///
    /// # Errors
    /// As [`LlamaEngine::generate`].
    pub async fn generate_with(
        &self,
        request: GenerateRequest,
        change: impl FnOnce(Vec<Box<dyn Processor>>) -> Vec<Box<dyn Processor>> + Send,
    ) -> Result<TokenStream, EngineError> {
        let (mut job, mut streams) = self.inner.generate_job(request, 1)?;
        job.samples[0].map_processors(change);
        self.inner.enqueue(Command::Generate(job), 1)?;
        Ok(streams.remove(0))
    }

    /// What it is busy with. Answered between two steps, even when the queue is full.
    ///
    /// # Errors
    /// [`EngineError::Stopped`] if its worker has died.
    pub async fn stats(&self) -> Result<EngineStats, EngineError> {
        self.ask(Command::Stats).await
    }

    /// Asks the worker something that takes no place in the queue.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.inner.loaded.commands.send(command(reply)).map_err(|_| EngineError::Stopped)?;
        answer.await.unwrap_or(Err(EngineError::Stopped))
    }
}

impl LlamaEngine for CandleEngine {
    fn info(&self) -> &EngineInfo {
        &self.inner.loaded.info
    }

    async fn generate(&self, request: GenerateRequest) -> Result<TokenStream, EngineError> {
        let mut streams = self.generate_n(request, 1).await?;
        Ok(streams.remove(0))
    }

    async fn generate_n(
        &self,
        request: GenerateRequest,
        num_samples: usize,
    ) -> Result<Vec<TokenStream>, EngineError> {
        let (job, streams) = self.inner.generate_job(request, num_samples)?;
        self.inner.enqueue(Command::Generate(job), num_samples)?;
        Ok(streams)
    }

    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, EngineError> {
        let arrived = Instant::now();
        let dimensions = self.info().embedding.dimensions(request.dimensions)?;
        let (reply, answer) = oneshot::channel();
        let (job, cut_texts) = self.inner.embed_job(request, dimensions, reply)?;
        let prompt_tokens = job.texts.iter().map(Vec::len).sum();
        let usage = Usage { prompt_tokens, ..Usage::default() };
        let mut vectors = Vec::new();
        if !job.texts.is_empty() {
            self.inner.enqueue(Command::Embed(job), 1)?;
            let answered = answer.await.unwrap_or(Err(EngineError::Stopped));
            vectors = answered.inspect_err(events::embed_failed)?;
            events::embed_finished(vectors.len(), prompt_tokens, arrived.elapsed());
        }
        Ok(Embeddings { vectors, dimensions, cut_texts, usage })
    }

    async fn pin(&self, prompt: Prompt) -> Result<PinnedContext, EngineError> {
        self.inner.check_decoder("pin contexts")?;
        let tokens = self.inner.tokens(prompt, AddSpecial::Yes)?;
        self.inner.check_length("prompt", tokens.len(), 0)?;
        let (reply, answer) = oneshot::channel();
        self.inner.enqueue(Command::Pin(PinJob { tokens, reply }), 1)?;
        answer.await.unwrap_or(Err(EngineError::Stopped))
    }

    async fn tokenize(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        self.inner.loaded.text.tokenizer.encode(text, AddSpecial::No, ParseSpecial::No).map_err(tokenizer)
    }

    async fn detokenize(&self, tokens: &[u32]) -> Result<String, EngineError> {
        self.inner.loaded.text.tokenizer.decode(tokens, DecodeSpecial::Skip).map_err(tokenizer)
    }
}

impl fmt::Debug for CandleEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CandleEngine").field(self.info()).finish()
    }
}

impl Inner {
    /// Sends a request to the worker, unless too many wait already.
    fn enqueue(&self, command: Command, num_places: usize) -> Result<(), EngineError> {
        let num_waiting = &self.loaded.num_waiting;
        if num_waiting.fetch_add(num_places, Ordering::Relaxed) + num_places > self.max_waiting {
            num_waiting.fetch_sub(num_places, Ordering::Relaxed);
            return Err(EngineError::Overloaded { limit: self.max_waiting });
        }
        self.loaded.commands.send(command).map_err(|_| {
            num_waiting.store(0, Ordering::Relaxed);
            EngineError::Stopped
        })
    }

    /// The work that a request asks for, and the streams that tell of it.
    fn generate_job(
        &self,
        mut request: GenerateRequest,
        num_samples: usize,
    ) -> Result<(GenerateJob, Vec<TokenStream>), EngineError> {
        self.check_decoder("generate")?;
        let arrived = Instant::now();
        if num_samples == 0 {
            return Err(invalid("num_samples", "0, expected at least 1"));
        }
        if num_samples > self.max_waiting {
            return Err(EngineError::Overloaded { limit: self.max_waiting });
        }
        let (context, add) = match request.context.take() {
            Some(handle) => (Some((handle.id_in(self.loaded.engine)?, handle)), AddSpecial::No),
            None => (None, AddSpecial::Yes),
        };
        // What is left of the request is cloned for each sample.
        let prompt = std::mem::replace(&mut request.prompt, Prompt::Tokens(Vec::new()));
        let tokens = self.tokens(prompt, add)?;
        let prompt_len = tokens.len() + context.as_ref().map_or(0, |(_, handle)| handle.len());
        if request.max_tokens == Some(0) {
            return Err(invalid("max_tokens", "0, expected at least 1"));
        }
        self.check_length("prompt", prompt_len, request.max_tokens.unwrap_or(1))?;
        if request.stop.iter().any(String::is_empty) {
            return Err(invalid("stop", "an empty text would end every answer"));
        }
        self.check_rules(&request.rules, request.max_tokens)?;
        let breakers = sampling::breakers(&self.loaded.text.tokenizer, &request.sampling)?;
        let grammar = request.grammar.take();
        let constraint = self.constraint(grammar.as_ref(), &request)?;
        let (priority, prompt_logprobs) = (request.urgency.priority, request.logprobs.prompt);
        let (mut samples, mut streams) = (Vec::new(), Vec::new());
        for i in 0..num_samples {
            let request = request.clone().for_sample(i);
            let sampler = self.sampler(&request, breakers.clone())?;
            let guide =
                constraint.as_ref().map(|constraint| guide(&request, grammar.as_ref(), constraint.clone()));
            let (sample, stream) = self.sample(request, (sampler, guide), (prompt_len, arrived));
            samples.push(sample);
            streams.push(stream);
        }
        Ok((GenerateJob { tokens, context, priority, prompt_logprobs, samples }, streams))
    }

    /// One generation and its stream.
    fn sample(
        &self,
        request: GenerateRequest,
        (sampler, guide): (Sampler, Option<Guide>),
        (prompt_tokens, arrived): (usize, Instant),
    ) -> (Generation, TokenStream) {
        let (sender, events) = mpsc::unbounded();
        let (interrupt, stop) = oneshot::channel();
        let decoder = self.loaded.text.tokenizer.stream_decoder(DecodeSpecial::Skip).continuing();
        let generation = Generation::new(GenerationSpec {
            sampler,
            guide,
            text: AnswerText::new(decoder, request.stop, request.rules.min_tokens),
            max_tokens: request.max_tokens.unwrap_or(self.loaded.info.context_len - prompt_tokens),
            ends: Ends { of_text: self.end_tokens(request.end).to_vec(), stop: request.rules.stop },
            logprobs: request.logprobs.answer,
            keep: request.keep,
            prompt_tokens,
            events: sender,
            stop,
            arrived,
            deadline: request.urgency.deadline.and_then(|limit| arrived.checked_add(limit)),
        })
        .with_speculation(request.speculation);
        let on_stop = move || {
            // A generation that has ended needs no stopping.
            let _ = interrupt.send(());
        };
        (generation, TokenStream::new(EventStream { events, is_over: false }, on_stop))
    }

    /// The work that a request asks for, and which of its texts are cut.
    fn embed_job(
        &self,
        request: EmbedRequest,
        dimensions: Dimensions,
        reply: Reply<Vec<Vec<f32>>>,
    ) -> Result<(EmbedJob, Vec<usize>), EngineError> {
        let (info, tokenizer) = (&self.loaded.info.embedding, &self.loaded.text.tokenizer);
        let prefix = request.instruction.as_deref().unwrap_or(info.prefix(request.input));
        let (mut texts, mut cut_texts) = (Vec::with_capacity(request.texts.len()), Vec::new());
        for (text_idx, text) in request.texts.iter().enumerate() {
            let mut tokens = self.tokens(Prompt::Text(format!("{prefix}{text}")), AddSpecial::Yes)?;
            if tokens.is_empty() {
                return Err(invalid("texts", format!("text {text_idx} has no tokens")));
            }
            if tokens.len() > info.max_tokens {
                if request.overlong == Overlong::Refuse {
                    let (needed, context_len) = (tokens.len(), info.max_tokens);
                    return Err(EngineError::ContextTooLong { needed, context_len });
                }
                cut_texts.push(text_idx);
                tokens = tokenizer.truncate(&tokens, info.max_tokens).map_err(self::tokenizer)?;
            }
            texts.push(tokens);
        }
        let job = EmbedJob {
            texts,
            pooling: request.pooling.unwrap_or(info.pooling),
            normalization: request.normalization,
            dimensions: dimensions.len(),
            priority: request.priority,
            reply,
        };
        Ok((job, cut_texts))
    }

    fn tokens(&self, prompt: Prompt, add: AddSpecial) -> Result<Vec<u32>, EngineError> {
        let text_side = &self.loaded.text;
        match prompt {
            Prompt::Text(text) => text_side.tokenizer.encode(&text, add, ParseSpecial::No).map_err(tokenizer),
            Prompt::Tokens(tokens) => {
                self.check_ids("prompt", &tokens)?;
                Ok(tokens)
            }
            Prompt::Chat(conversation) => {
                let Some(template) = &text_side.template else {
                    let what = "a conversation: this model has no chat template".to_owned();
                    return Err(EngineError::Unsupported { what });
                };
                let text = conversation::render(template, conversation)?;
                text_side.tokenizer.encode(&text, AddSpecial::No, ParseSpecial::Yes).map_err(tokenizer)
            }
        }
    }

    pub(crate) fn check_ids<'a>(
        &self,
        field: &'static str,
        tokens: impl IntoIterator<Item = &'a u32>,
    ) -> Result<(), EngineError> {
        let vocab_size = self.loaded.info.vocab_size;
        match tokens.into_iter().find(|&&token| token as usize >= vocab_size) {
            Some(token) => {
                Err(invalid(field, format!("token {token} is outside the vocabulary of {vocab_size}")))
            }
            None => Ok(()),
        }
    }

    /// Checks that the model can do what goes beyond embedding.
    fn check_decoder(&self, what: &str) -> Result<(), EngineError> {
        match self.loaded.info.kind {
            ModelKind::Decoder => Ok(()),
            ModelKind::Encoder => Err(encoder_cannot(what)),
        }
    }

    /// Checks that a sequence is not empty, and fits with as many tokens as shall be added to it.
    fn check_length(&self, field: &'static str, len: usize, max_new: usize) -> Result<(), EngineError> {
        let context_len = self.loaded.info.context_len;
        let needed = len.saturating_add(max_new);
        match len {
            0 => Err(invalid(field, "no tokens")),
            _ if needed > context_len => Err(EngineError::ContextTooLong { needed, context_len }),
            _ => Ok(()),
        }
    }
}

/// The grammar of one sample at work.
fn guide(request: &GenerateRequest, grammar: Option<&Grammar>, constraint: Constraint) -> Guide {
    let rules = &request.rules;
    // Whoever looks at logits, or may object to a token, gets a step for each.
    let is_watched = request.logprobs.answer.is_some() || request.sampling.mirostat.is_some();
    let has_objections = rules.allowed.is_some() || !rules.banned.is_empty() || !rules.stop.is_empty();
    let forcing = if is_watched || has_objections { Forcing::Compute } else { Forcing::Append };
    let guide = Guide::new(constraint, forcing, rules.min_tokens);
    if matches!(grammar, Some(Grammar::Citations(_))) { guide.with_citations() } else { guide }
}

/// The error of whoever asks an encoder for what only decoders do.
pub(crate) fn encoder_cannot(what: &str) -> EngineError {
    EngineError::Unsupported { what: format!("to {what}: the model is an encoder, which only embeds") }
}

pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> EngineError {
    EngineError::InvalidRequest { field, reason: reason.into() }
}

pub(crate) fn tokenizer(source: TokenizerError) -> EngineError {
    EngineError::Tokenizer(Box::new(source))
}

/// The worker's events; if they break off, the worker has died.
struct EventStream {
    events: mpsc::UnboundedReceiver<Result<Event, EngineError>>,
    is_over: bool,
}

impl Stream for EventStream {
    type Item = Result<Event, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let item = match Pin::new(&mut self.events).poll_next(context) {
            Poll::Ready(item) => item.unwrap_or(Err(EngineError::Stopped)),
            Poll::Pending => return Poll::Pending,
        };
        self.is_over = matches!(item, Ok(Event::Finished(_)) | Err(_));
        Poll::Ready(Some(item))
    }
}
