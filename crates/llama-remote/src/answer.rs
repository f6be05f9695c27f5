//! From the standard's chunks to the engine's events.
//!
//! Owns what is known of one answer while it comes. An answer has ended when its reason for ending has arrived; without one it has
//! broken off, however the connection ended.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use futures_core::Stream;
use llama_engine::{
    EngineError, Event, FinishReason, Finished, GenerateRequest, Timings, TokenEvent, TokenLogprob,
    UNKNOWN_TOKEN, Usage,
};
use serde_json::Value;

use crate::{
    RemoteError,
    body::EventBody,
    refusal,
    reply::{Choice, Chunk, LogprobEntry},
};

/// Turns the data of one server-sent event into events of the engine.
pub(crate) trait Reading: Send + Unpin {
    /// Takes the next event's data.
    ///
    /// # Errors
    /// What ends the answer.
    fn read(&mut self, data: &str, events: &mut VecDeque<Event>) -> Result<(), EngineError>;

    /// The end, when there is nothing more to read; `None` if the answer is not whole.
    fn finish(&mut self) -> Option<Finished>;

    /// The end, if the caller wants it now and the server cannot be told.
    fn interrupt(&mut self) -> Option<Finished> {
        None
    }
}

/// A stream of the engine's events, from a body and a way to read it.
pub(crate) struct Answer<R> {
    body: EventBody,
    reading: R,
    events: VecDeque<Event>,
    is_over: bool,
}

impl<R: Reading> Answer<R> {
    pub(crate) fn new(body: EventBody, reading: R) -> Self {
        Self { body, reading, events: VecDeque::new(), is_over: false }
    }

    fn end(&mut self, item: Result<Event, EngineError>) -> Poll<Option<Result<Event, EngineError>>> {
        self.is_over = true;
        Poll::Ready(Some(item))
    }
}

impl<R: Reading> Stream for Answer<R> {
    type Item = Result<Event, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.is_over {
                return Poll::Ready(None);
            }
            if let Some(event) = this.events.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if let Some(finished) = this.reading.interrupt() {
                this.body.close();
                return this.end(Ok(Event::Finished(finished)));
            }
            match ready!(Pin::new(&mut this.body).poll_next(context)) {
                Some(Ok(event)) => {
                    if let Err(error) = this.reading.read(&event.data, &mut this.events) {
                        return this.end(Err(error));
                    }
                }
                // Whatever breaks after the end: the answer is whole.
                broken => {
                    let error = match (this.reading.finish(), broken) {
                        (Some(finished), _) => return this.end(Ok(Event::Finished(finished))),
                        (None, Some(Err(error))) => error,
                        (None, _) => RemoteError::Broken { url: this.body.url(), source: None },
                    };
                    return this.end(Err(error.into()));
                }
            }
        }
    }
}

/// Reads the standard's chunks, of one choice.
pub(crate) struct StandardReading {
    url: String,
    has_stops: bool,
    wants_logprobs: bool,
    num_alternatives: usize,
    started: Instant,
    first_token: Option<Instant>,
    num_tokens: usize,
    reason: Option<FinishReason>,
    usage: Option<Usage>,
    is_stopped: Arc<AtomicBool>,
}

impl StandardReading {
    pub(crate) fn new(url: String, request: &GenerateRequest, started: Instant) -> Self {
        Self {
            url,
            has_stops: !request.stop.is_empty(),
            wants_logprobs: request.logprobs.answer.is_some(),
            num_alternatives: request.logprobs.answer.unwrap_or(0),
            started,
            first_token: None,
            num_tokens: 0,
            reason: None,
            usage: None,
            is_stopped: Arc::default(),
        }
    }

    /// Ends the answer where it is. The standard has no way to tell the server, but for hanging up.
    pub(crate) fn stopper(&self) -> impl FnOnce() + Send + 'static {
        let is_stopped = self.is_stopped.clone();
        move || is_stopped.store(true, Ordering::Relaxed)
    }

    fn finished(&self, reason: FinishReason) -> Finished {
        let total = self.started.elapsed();
        let first = self.first_token.map_or(total, |first| first - self.started);
        // Servers that do not count are counted for, as far as can be seen from here.
        let counted = Usage { completion_tokens: self.num_tokens, ..Usage::default() };
        Finished {
            reason,
            text: String::new(),
            usage: self.usage.unwrap_or(counted),
            timings: Timings { queued: Default::default(), time_to_first_token: first, total },
            context: None,
        }
    }

    fn protocol(&self, reason: String) -> EngineError {
        RemoteError::Protocol { url: self.url.clone(), reason }.into()
    }

    fn choice(&mut self, choice: Choice, events: &mut VecDeque<Event>) -> Result<(), EngineError> {
        let delta = choice.delta.unwrap_or_default();
        let mut text = choice.text.or(delta.content).unwrap_or_default();
        let entries = choice.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
        if self.wants_logprobs && entries.is_empty() && !text.is_empty() {
            return Err(self.protocol("log-probabilities were asked for, and do not come".to_owned()));
        }
        let has_entries = self.wants_logprobs && !entries.is_empty();
        if has_entries {
            for entry in entries {
                let (id, logprobs) = self.logprobs(entry)?;
                self.token(
                    TokenEvent { id, text: std::mem::take(&mut text), logprobs: Some(logprobs) },
                    events,
                );
            }
        } else if !text.is_empty() {
            self.token(TokenEvent { id: UNKNOWN_TOKEN, text, logprobs: None }, events);
        }
        if let Some(reason) = choice.finish_reason {
            self.reason = Some(self.reason(&reason, choice.stop_reason)?);
        }
        Ok(())
    }

    fn token(&mut self, token: TokenEvent, events: &mut VecDeque<Event>) {
        self.first_token.get_or_insert_with(Instant::now);
        self.num_tokens += 1;
        events.push_back(Event::Token(token));
    }

    fn logprobs(&self, entry: LogprobEntry) -> Result<(u32, Vec<TokenLogprob>), EngineError> {
        let unnamed = || crate::dialect::unsupported("log-probabilities from a server that names no ids");
        let mut logprobs = entry.by_id().ok_or_else(unnamed)?;
        logprobs.truncate(1 + self.num_alternatives);
        Ok((logprobs[0].id, logprobs))
    }

    fn reason(&self, reason: &str, stop: Option<Value>) -> Result<FinishReason, EngineError> {
        match (reason, stop) {
            ("length", _) => Ok(FinishReason::MaxTokens),
            ("stop", Some(Value::String(text))) if self.has_stops => Ok(FinishReason::Stop(text)),
            ("stop" | "tool_calls" | "function_call", _) => Ok(FinishReason::EndOfText),
            (other, _) => Err(self.protocol(format!("the answer ended for the reason {other:?}"))),
        }
    }
}

impl Reading for StandardReading {
    fn read(&mut self, data: &str, events: &mut VecDeque<Event>) -> Result<(), EngineError> {
        let chunk: Chunk = serde_json::from_str(data)
            .map_err(|error| self.protocol(format!("a part of the answer is no chunk: {error}")))?;
        if let Some(error) = &chunk.error {
            return Err(refusal::in_stream(self.url.clone(), error));
        }
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage.into());
        }
        match chunk.choices.into_iter().next() {
            Some(choice) => self.choice(choice, events),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Option<Finished> {
        let reason = self.reason.take()?;
        Some(self.finished(reason))
    }

    fn interrupt(&mut self) -> Option<Finished> {
        let asked = self.is_stopped.load(Ordering::Relaxed);
        asked.then(|| {
            let reason = self.reason.take().unwrap_or(FinishReason::Interrupted);
            self.finished(reason)
        })
    }
}
