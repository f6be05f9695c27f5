//! The streams of one request, followed to their ends.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures_util::{
    Stream, StreamExt,
    stream::{SelectAll, select_all},
};
use llama_engine::{
    EngineError, Event, FinishReason, Finished, GenerateRequest, Grammar, LlamaEngine, Prompt, PromptEvent,
    TokenEvent, TokenLogprob, TokenStream, Usage as EngineUsage,
};
use llama_openai::{
    Citation, FinishCause, FinishDetails, FinishReason as WireReason, IdLogprob, PromptToken,
    PromptTokensDetails, Usage,
};
use tokio::{
    select,
    sync::{Notify, OwnedSemaphorePermit},
};

use super::{Answer, CallReader, TokenReport, TokenText};
use crate::{
    auth::Client,
    convert,
    error::ApiError,
    metrics::{RequestObserver, RequestSpan},
    state::App,
};

/// All answers to one request, as they come. Dropping it cancels them.
pub(crate) struct Generation<E> {
    pub(crate) app: App<E>,
    pub(crate) client: Client,
    events: SelectAll<Followed>,
    /// Ends all answers early when notified.
    pub(crate) stop: Arc<Notify>,
    /// By answer.
    progress: Vec<Progress>,
    usage: EngineUsage,
    num_samples: usize,
    observer: RequestObserver,
    _place: OwnedSemaphorePermit,
}

/// How far one answer is.
#[derive(Default)]
struct Progress {
    /// Characters said so far.
    characters: u64,
    /// What tells calls from text, where there may be calls.
    calls: Option<CallReader>,
}

impl<E: LlamaEngine + 'static> Generation<E> {
    /// Asks for `num_samples` answers to each prompt, once there is a place for them.
    pub(crate) async fn start(
        app: &App<E>,
        (client, span): (Client, RequestSpan),
        (mut request, prompts, num_samples): (GenerateRequest, Vec<Prompt>, usize),
    ) -> Result<Self, ApiError> {
        let mut observer = RequestObserver::begin(&app.metrics, "generate", span);
        observer.asked(&request, num_samples);
        for prompt in &prompts {
            convert::check_prompt(app, prompt).await?;
        }
        let num_answers = prompts.len() * num_samples;
        let may_call = matches!(request.grammar, Some(Grammar::ToolCalls(_)));
        let arrived = Instant::now();
        let place = app.admission.enter(num_answers).await?;
        // What was spent on waiting is spent.
        let deadline = &mut request.urgency.deadline;
        *deadline = deadline.map(|limit| limit.saturating_sub(arrived.elapsed()));
        let mut streams = Vec::new();
        for prompt in prompts {
            streams.extend(begin(app, GenerateRequest { prompt, ..request.clone() }, num_samples).await?);
        }
        observer.expect(num_answers, num_samples);
        let events = streams.into_iter().enumerate().map(|(index, stream)| Followed { index, stream });
        Ok(Self {
            app: app.clone(),
            client,
            events: select_all(events),
            stop: Arc::default(),
            progress: (0..num_answers).map(|_| Progress::new(may_call)).collect(),
            usage: EngineUsage::default(),
            num_samples,
            observer,
            _place: place,
        })
    }

    /// How many answers there are.
    pub(crate) fn num_answers(&self) -> usize {
        self.progress.len()
    }

    /// What is new of one of the answers; `None` once all have ended.
    pub(crate) async fn next(&mut self) -> Result<Option<Answer>, ApiError> {
        let Some((index, event)) = self.next_event().await else { return Ok(None) };
        let event = event.map_err(ApiError::from).inspect_err(|error| {
            self.observer.fail(index, error.word());
        })?;
        self.observer.event(index, &event);
        let mut answer =
            Answer { index, characters_before: self.progress[index].characters, ..Answer::default() };
        match event {
            Event::Prompt(prompt) => answer.details.prompt_tokens = Some(prompt_tokens(prompt)),
            Event::Citation(citation) => answer.details.citations = Some(vec![wire_citation(citation)]),
            Event::Token(token) => self.token(token, &mut answer).await?,
            Event::Finished(finished) => self.finish(finished, &mut answer)?,
        }
        self.progress[index].read(&mut answer);
        Ok(Some(answer))
    }

    async fn next_event(&mut self) -> Option<(usize, Result<Event, EngineError>)> {
        loop {
            select! {
                // What is asked for once is done once: a second stop changes nothing.
                () = self.stop.notified() => self.events.iter_mut().for_each(|followed| followed.stream.stop()),
                event = self.events.next() => return event,
            }
        }
    }

    /// Tokens of all answers. A prompt counts once, however many answers it has.
    pub(crate) fn usage(&self) -> Usage {
        wire_usage(&self.usage)
    }

    async fn token(&mut self, token: TokenEvent, answer: &mut Answer) -> Result<(), ApiError> {
        answer.text = token.text;
        answer.details.token_ids = Some(vec![token.id]);
        if let Some(logprobs) = token.logprobs {
            let mut texts = Vec::with_capacity(logprobs.len());
            for TokenLogprob { id, logprob } in logprobs {
                let text = self.app.engine.detokenize(&[id]).await?;
                texts.push(TokenText { id, text, logprob });
            }
            if !texts.is_empty() {
                let token = texts.remove(0);
                answer.reports = Some(vec![TokenReport { token, alternatives: texts }]);
            }
        }
        Ok(())
    }

    fn finish(&mut self, finished: Finished, answer: &mut Answer) -> Result<(), ApiError> {
        let usage = finished.usage;
        if answer.index.is_multiple_of(self.num_samples) {
            self.usage.prompt_tokens += usage.prompt_tokens;
            self.usage.cached_tokens += usage.cached_tokens;
        }
        self.usage.completion_tokens += usage.completion_tokens;
        answer.finish_reason = Some(wire_reason(&finished.reason));
        answer.details.finish_details = Some(finish_details(&finished));
        if let Some(context) = finished.context {
            answer.details.context = Some(self.app.contexts.keep(context, self.client)?);
        }
        answer.text = finished.text;
        Ok(())
    }
}

impl Progress {
    fn new(may_call: bool) -> Self {
        Self { characters: 0, calls: may_call.then(CallReader::default) }
    }

    /// Notes what is new, and takes calls out of it.
    fn read(&mut self, answer: &mut Answer) {
        if let Some(calls) = &mut self.calls {
            (answer.text, answer.calls) = calls.read(&answer.text);
            if answer.finish_reason.is_some() {
                answer.text.push_str(&calls.finish());
            }
            if calls.num_calls() > 0 && answer.finish_reason == Some(WireReason::Stop) {
                answer.finish_reason = Some(WireReason::ToolCalls);
            }
        }
        self.characters += answer.text.chars().count() as u64;
    }
}

/// The stream of one of the answers.
struct Followed {
    index: usize,
    stream: TokenStream,
}

impl Stream for Followed {
    type Item = (usize, Result<Event, EngineError>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(self.stream.poll_next_unpin(context));
        Poll::Ready(event.map(|event| (self.index, event)))
    }
}

/// Starts the answers to one prompt. Without a limit of its own an answer may be as long as the server allows, or as the context is.
async fn begin<E: LlamaEngine>(
    app: &App<E>,
    mut request: GenerateRequest,
    num_samples: usize,
) -> Result<Vec<TokenStream>, ApiError> {
    let limit = app.config.limits.max_tokens;
    if request.max_tokens.is_none() && limit < app.engine.info().context_len {
        request.max_tokens = Some(limit.max(request.rules.min_tokens));
        match app.engine.generate_n(request.clone(), num_samples).await {
            // There is less room than the limit, so what is left of the context is the limit.
            Err(EngineError::ContextTooLong { .. }) => request.max_tokens = None,
            outcome => return Ok(outcome?),
        }
    }
    Ok(app.engine.generate_n(request, num_samples).await?)
}

fn prompt_tokens(prompt: PromptEvent) -> Vec<PromptToken> {
    let by_id = |token: TokenLogprob| IdLogprob { id: token.id, logprob: token.logprob };
    let token = |token: llama_engine::PromptToken| PromptToken {
        id: token.id,
        logprobs: token.logprobs.map(|all| all.into_iter().map(by_id).collect()),
    };
    prompt.tokens.into_iter().map(token).collect()
}

fn wire_citation(citation: llama_engine::Citation) -> Citation {
    let (start, end) = (citation.range.start as u64, citation.range.end as u64);
    Citation { id: citation.id, marker: citation.marker, start, end }
}

fn wire_reason(reason: &FinishReason) -> WireReason {
    match reason {
        FinishReason::EndOfText
        | FinishReason::Stop(_)
        | FinishReason::StopToken(_)
        | FinishReason::Interrupted => WireReason::Stop,
        FinishReason::MaxTokens | FinishReason::Deadline => WireReason::Length,
    }
}

fn finish_details(finished: &Finished) -> FinishDetails {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let (usage, timings) = (&finished.usage, finished.timings);
    let drafts = &usage.speculation;
    FinishDetails {
        reason: match &finished.reason {
            FinishReason::EndOfText => FinishCause::EndOfText,
            FinishReason::Stop(text) => FinishCause::StopText { text: text.clone() },
            FinishReason::StopToken(id) => FinishCause::StopToken { id: *id },
            FinishReason::MaxTokens => FinishCause::MaxTokens,
            FinishReason::Interrupted => FinishCause::Interrupted,
            FinishReason::Deadline => FinishCause::Deadline,
        },
        usage: wire_usage(usage),
        forced_tokens: usage.forced_tokens as u64,
        queued_us: micros(timings.queued),
        time_to_first_token_us: micros(timings.time_to_first_token),
        total_us: micros(timings.total),
        drafts: [drafts.num_drafts, drafts.drafted_tokens, drafts.accepted_tokens].map(|num| num as u64),
    }
}

fn wire_usage(usage: &EngineUsage) -> Usage {
    let (prompt_tokens, completion_tokens) = (usage.prompt_tokens as u64, usage.completion_tokens as u64);
    let cached_tokens = Some(usage.cached_tokens as u64);
    Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens + completion_tokens,
        prompt_tokens_details: Some(PromptTokensDetails { cached_tokens }),
    }
}
