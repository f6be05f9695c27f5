//! An engine that breaks its contract in one way, made of one that keeps it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::StreamExt;
use llama_engine::{
    Dimensions, EmbedRequest, Embeddings, EngineError, EngineInfo, Event, FinishReason, GenerateRequest,
    LlamaEngine, Overlong, Penalties, PinnedContext, Prompt, Sampling, TokenRules, TokenStream,
};
use llama_runtime::CandleEngine;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    Nothing,
    EmptyInfo,
    Unrepeatable,
    AlwaysGreedy,
    DependsOnLoad,
    LosesText,
    OneTokenMore,
    WrongReason,
    CountsOneMore,
    NothingCached,
    LogprobsRise,
    LogprobsShifted,
    LogprobsUnasked,
    IgnoresStops,
    TellsStopText,
    DeafToStop,
    StopsAfterDrop,
    Lenient,
    LenientSampling,
    TakesForeignContext,
    ContextOneShort,
    LosesContext,
    EmbedsBackwards,
    EmbedsByBatch,
    IgnoresDimensions,
    ForgetsUntrained,
    CutsUnasked,
    EmptyIsNothing,
    EmptyIsTheOther,
    IgnoresInstruction,
    DetokenizesTrimmed,
    SamplesAlike,
    SamplesShareAFate,
    PriorityMatters,
    DeafToDeadline,
    IgnoresBans,
    IgnoresAllowed,
    IgnoresBias,
    IgnoresStopTokens,
    IgnoresMinTokens,
    IgnoresPenalties,
    LenientRules,
    LosesPromptToken,
    PromptShifted,
    PromptUnasked,
    IgnoresGrammar,
    ForcesUncounted,
    CitesBeside,
}

/// The engine with the fault.
pub(crate) struct Faulty {
    pub(crate) inner: CandleEngine,
    pub(crate) fault: Fault,
    info: EngineInfo,
    num_calls: AtomicUsize,
    num_live: Arc<AtomicUsize>,
    num_dropped: Arc<AtomicUsize>,
}

impl Faulty {
    pub(crate) fn new(inner: CandleEngine, fault: Fault) -> Self {
        let mut info = inner.info().clone();
        if fault == Fault::EmptyInfo {
            info.block_len = 0;
        }
        let (num_live, num_dropped) = Default::default();
        Self { inner, fault, info, num_calls: AtomicUsize::new(0), num_live, num_dropped }
    }

    fn spoil_rules(&self, rules: &mut TokenRules) {
        match self.fault {
            Fault::IgnoresBans => rules.banned.clear(),
            Fault::IgnoresAllowed => rules.allowed = None,
            Fault::IgnoresBias => rules.bias.clear(),
            Fault::IgnoresStopTokens => rules.stop.clear(),
            Fault::IgnoresMinTokens => rules.min_tokens = 0,
            _ => *rules = TokenRules::default(),
        }
    }

    fn spoil_request(&self, request: &mut GenerateRequest) {
        let call = self.num_calls.fetch_add(1, Ordering::SeqCst) as u64;
        let other = Sampling { temperature: 2.0, seed: Some(call), ..Sampling::default() };
        match self.fault {
            Fault::Unrepeatable => request.sampling = other,
            Fault::DependsOnLoad if self.num_live.load(Ordering::SeqCst) > 0 => request.sampling = other,
            Fault::AlwaysGreedy => request.sampling = Sampling::default(),
            Fault::OneTokenMore => request.max_tokens = request.max_tokens.map(|max| max + 1),
            Fault::LogprobsUnasked => request.logprobs.answer = request.logprobs.answer.or(Some(0)),
            Fault::PromptUnasked => request.logprobs.prompt = request.logprobs.prompt.or(Some(0)),
            Fault::IgnoresPenalties => request.sampling.penalties = Penalties::default(),
            Fault::IgnoresBans
            | Fault::IgnoresAllowed
            | Fault::IgnoresBias
            | Fault::IgnoresStopTokens
            | Fault::IgnoresMinTokens
            | Fault::LenientRules => self.spoil_rules(&mut request.rules),
            Fault::IgnoresGrammar => request.grammar = None,
            Fault::IgnoresStops => request.stop.clear(),
            Fault::Lenient => {
                request.max_tokens = request.max_tokens.map(|max| max.clamp(1, 4));
                request.stop.retain(|stop| !stop.is_empty());
                if let Prompt::Tokens(tokens) = &mut request.prompt
                    && request.context.is_none()
                {
                    tokens.truncate(64);
                    tokens.iter_mut().for_each(|token| *token %= 100);
                    tokens.resize(tokens.len().max(1), 0);
                }
            }
            Fault::LenientSampling => {
                request.sampling.temperature = request.sampling.temperature.max(0.0);
                request.sampling.top_k = None;
            }
            Fault::PriorityMatters if request.urgency.priority.0 > 0 => request.sampling = other,
            Fault::DeafToDeadline => request.urgency.deadline = None,
            Fault::TakesForeignContext => request.context = None,
            Fault::ContextOneShort => {
                let short = |context: PinnedContext| {
                    context.rewind(context.len().saturating_sub(1)).expect("it is not longer")
                };
                request.context = request.context.take().map(short);
            }
            _ => {}
        }
    }
}

/// Changes one event; `idx` is its number in the stream.
fn spoil_event(fault: Fault, idx: usize, event: &mut Event, stops: &[String]) {
    match event {
        Event::Prompt(prompt) => match fault {
            Fault::LosesPromptToken => drop(prompt.tokens.pop()),
            Fault::PromptShifted => {
                let mut logprobs: Vec<_> = prompt.tokens.iter().map(|token| token.logprobs.clone()).collect();
                logprobs.rotate_right(1);
                prompt.tokens.iter_mut().zip(logprobs).for_each(|(token, shifted)| token.logprobs = shifted);
            }
            _ => {}
        },
        Event::Token(token) => match (fault, &mut token.logprobs) {
            (Fault::LosesText, _) if idx == 2 => token.text.clear(),
            (Fault::LogprobsRise, Some(entries)) => entries[1..].reverse(),
            (Fault::LogprobsShifted, Some(entries)) => {
                entries.iter_mut().for_each(|entry| entry.logprob += 3.0)
            }
            _ => {}
        },
        Event::Citation(citation) => {
            if fault == Fault::CitesBeside {
                citation.range.start += 1;
            }
        }
        Event::Finished(finished) => match fault {
            Fault::ForcesUncounted => finished.usage.forced_tokens = 0,
            Fault::WrongReason => finished.reason = FinishReason::EndOfText,
            Fault::CountsOneMore => finished.usage.prompt_tokens += 1,
            Fault::NothingCached => finished.usage.cached_tokens = 0,
            Fault::TellsStopText => finished.text.extend(stops.first().cloned()),
            Fault::LosesContext => finished.context = None,
            _ => {}
        },
    }
}

/// Counts a stream as live until it is dropped, and then, if it has not ended, as dropped.
struct Live {
    num_live: Arc<AtomicUsize>,
    num_dropped: Arc<AtomicUsize>,
    has_ended: bool,
}

impl Live {
    /// Also keeps closures from capturing a field alone.
    fn note(&mut self, event: &Event) {
        self.has_ended |= matches!(event, Event::Finished(_));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.num_live.fetch_sub(1, Ordering::SeqCst);
        self.num_dropped.fetch_add(usize::from(!self.has_ended), Ordering::SeqCst);
    }
}

impl LlamaEngine for Faulty {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn generate(&self, mut request: GenerateRequest) -> Result<TokenStream, EngineError> {
        let (fault, stops) = (self.fault, request.stop.clone());
        self.spoil_request(&mut request);
        if fault == Fault::StopsAfterDrop && self.num_dropped.load(Ordering::SeqCst) > 0 {
            return Err(EngineError::Stopped);
        }
        let mut stream = self.inner.generate(request).await?;
        let takes_stop = matches!(fault, Fault::Nothing | Fault::LosesContext | Fault::ContextOneShort);
        if fault == Fault::Nothing {
            return Ok(stream);
        }
        self.num_live.fetch_add(1, Ordering::SeqCst);
        let (num_live, num_dropped) = (self.num_live.clone(), self.num_dropped.clone());
        let mut live = Live { num_live, num_dropped, has_ended: false };
        let (stop, stopped) = futures::channel::oneshot::channel::<()>();
        let mut stopped = Some(stopped);
        let mut idx = 0;
        let events = futures::stream::poll_fn(move |context| {
            let asked = stopped.as_mut().and_then(|stopped| stopped.try_recv().ok().flatten());
            if asked.is_some() && takes_stop {
                stream.stop();
                stopped = None;
            }
            stream.poll_next_unpin(context).map(|event| {
                event.map(|event| {
                    event.map(|mut event| {
                        spoil_event(fault, idx, &mut event, &stops);
                        idx += 1;
                        live.note(&event);
                        event
                    })
                })
            })
        });
        Ok(TokenStream::new(events, move || {
            let _ = stop.send(());
        }))
    }

    async fn generate_n(
        &self,
        request: GenerateRequest,
        num_samples: usize,
    ) -> Result<Vec<TokenStream>, EngineError> {
        let mut streams = self.inner.generate_n(request.clone(), num_samples).await?;
        match self.fault {
            Fault::SamplesAlike => {
                for stream in &mut streams {
                    *stream = self.inner.generate(request.clone()).await?;
                }
            }
            Fault::SamplesShareAFate => streams[1].stop(),
            _ => {}
        }
        Ok(streams)
    }

    async fn embed(&self, mut request: EmbedRequest) -> Result<Embeddings, EngineError> {
        match self.fault {
            Fault::IgnoresDimensions => request.dimensions = None,
            Fault::IgnoresInstruction => request.instruction = None,
            Fault::CutsUnasked => request.overlong = Overlong::Cut,
            _ => {}
        }
        let empty: Vec<usize> = (0..request.texts.len()).filter(|i| request.texts[*i].is_empty()).collect();
        let mut embeddings = self.inner.embed(request).await?;
        match self.fault {
            Fault::EmptyIsNothing => empty.iter().for_each(|i| embeddings.vectors[*i].fill(0.0)),
            Fault::EmptyIsTheOther => {
                empty.iter().for_each(|i| embeddings.vectors[*i] = embeddings.vectors[0].clone());
            }
            Fault::EmbedsBackwards => embeddings.vectors.reverse(),
            Fault::ForgetsUntrained => {
                embeddings.dimensions = Dimensions::Trained(embeddings.dimensions.len())
            }
            Fault::EmbedsByBatch if embeddings.vectors.len() > 1 => {
                let x = &mut embeddings.vectors[0][0];
                *x = x.next_up();
            }
            _ => {}
        }
        Ok(embeddings)
    }

    async fn pin(&self, prompt: Prompt) -> Result<PinnedContext, EngineError> {
        self.inner.pin(prompt).await
    }

    async fn tokenize(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        self.inner.tokenize(text).await
    }

    async fn detokenize(&self, tokens: &[u32]) -> Result<String, EngineError> {
        let text = self.inner.detokenize(tokens).await?;
        Ok(if self.fault == Fault::DetokenizesTrimmed { text.trim().to_owned() } else { text })
    }
}
