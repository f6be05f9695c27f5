//! One running generation: from logits to events, until something ends it.

use std::time::Instant;

use candle_core::Tensor;
use futures_channel::{mpsc, oneshot};
use llama_engine::{
    EngineError, Event, FinishReason, Finished, KeepContext, PinnedContext, Timings, TokenEvent,
    TokenLogprob, Usage,
};
use llama_sampling::{Sampler, logprobs};

use super::GenerateJob;
use crate::{answer_text::AnswerText, events};

/// State of a generation between steps.
pub(super) struct Generation {
    sampler: Sampler,
    text: AnswerText,
    max_tokens: usize,
    end_tokens: Vec<u32>,
    num_alternatives: Option<usize>,
    pub(super) keep: KeepContext,
    events: mpsc::UnboundedSender<Result<Event, EngineError>>,
    stop: oneshot::Receiver<()>,
    usage: Usage,
    clock: Clock,
}

/// When things happened.
struct Clock {
    arrived: Instant,
    started: Option<Instant>,
    first_token: Option<Instant>,
}

/// What a token means for the sequence.
pub(super) enum Verdict {
    /// Append this token and go on.
    Continue(u32),
    /// It is over, after this token if there is one that belongs to the answer.
    End(FinishReason, Option<u32>),
}

impl Generation {
    /// Splits a job into what runs and the tokens of its prompt.
    pub(super) fn new(job: GenerateJob, prompt_tokens: usize) -> Self {
        Self {
            sampler: job.sampler,
            text: job.text,
            max_tokens: job.max_tokens,
            end_tokens: job.end_tokens,
            num_alternatives: job.logprobs,
            keep: job.keep,
            events: job.events,
            stop: job.stop,
            usage: Usage { prompt_tokens, ..Usage::default() },
            clock: Clock { arrived: job.arrived, started: None, first_token: None },
        }
    }

    /// Whether nobody listens any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.events.is_closed()
    }

    /// Whether the caller asked for an early end.
    pub(super) fn is_interrupted(&mut self) -> bool {
        matches!(self.stop.try_recv(), Ok(Some(())))
    }

    /// Notes the first step of this generation and what it found in the cache.
    pub(super) fn start(&mut self, num_cached: usize) {
        if self.clock.started.is_none() {
            self.clock.started = Some(Instant::now());
            self.usage.cached_tokens = num_cached;
        }
    }

    /// Chooses the next token, reports it, and says how to go on.
    ///
    /// # Shapes
    /// `logits`: `[v]`
    pub(super) fn advance(&mut self, logits: &Tensor) -> Result<Verdict, EngineError> {
        let model_failed = |source| EngineError::Model(Box::new(source));
        let token = self.sampler.sample(logits, self.usage.completion_tokens as u64).map_err(model_failed)?;
        self.clock.first_token.get_or_insert_with(Instant::now);
        if self.end_tokens.contains(&token) {
            return Ok(Verdict::End(FinishReason::EndOfText, None));
        }
        let progress = self.text.push(token).map_err(|source| EngineError::Tokenizer(Box::new(source)))?;
        let logprobs = match self.num_alternatives {
            Some(num_alternatives) => {
                Some(token_logprobs(logits, token, num_alternatives).map_err(model_failed)?)
            }
            None => None,
        };
        self.usage.completion_tokens += 1;
        self.send(Event::Token(TokenEvent { id: token, text: progress.text, logprobs }));
        Ok(match progress.stop {
            Some(stop) => Verdict::End(FinishReason::Stop(stop), Some(token)),
            None if self.usage.completion_tokens >= self.max_tokens => {
                Verdict::End(FinishReason::MaxTokens, Some(token))
            }
            None => Verdict::Continue(token),
        })
    }

    /// Reports the end.
    pub(super) fn finish(mut self, reason: FinishReason, context: Option<PinnedContext>) {
        let progress = match reason {
            FinishReason::Stop(_) => None,
            _ => Some(self.text.finish()),
        };
        // A stop text may become certain only with the last, incomplete character.
        let (text, late_stop) = progress.map_or_else(Default::default, |end| (end.text, end.stop));
        let reason = late_stop.map_or(reason, FinishReason::Stop);
        let since_arrival = |at: Option<Instant>| at.unwrap_or(self.clock.arrived) - self.clock.arrived;
        let timings = Timings {
            queued: since_arrival(self.clock.started),
            time_to_first_token: since_arrival(self.clock.first_token),
            total: self.clock.arrived.elapsed(),
        };
        events::request_finished(&reason, &self.usage, &timings);
        self.send(Event::Finished(Finished { reason, text, usage: self.usage, timings, context }));
    }

    /// Reports a failure, which ends the stream.
    pub(super) fn fail(self, error: EngineError) {
        events::request_failed(&error);
        // A listener that has gone needs no news.
        let _ = self.events.unbounded_send(Err(error));
    }

    fn send(&self, event: Event) {
        // A listener that has gone is noticed before the next step.
        let _ = self.events.unbounded_send(Ok(event));
    }
}

fn token_logprobs(
    logits: &Tensor,
    token: u32,
    num_alternatives: usize,
) -> Result<Vec<TokenLogprob>, llama_sampling::SamplingError> {
    let entries = logprobs(logits, token, num_alternatives)?;
    Ok(entries.iter().map(|entry| TokenLogprob { id: entry.token, logprob: entry.logprob }).collect())
}
