//! One running generation: from logits to events, until something ends it.

use std::time::Instant;

use candle_core::Tensor;
use futures_channel::{mpsc, oneshot};
use llama_engine::{
    Citation, EngineError, Event, FinishReason, Finished, KeepContext, PinnedContext, PromptEvent,
    Speculation, Timings, TokenEvent, Usage,
};
use llama_sampling::{Constraint, History, Processor, Proposal, Sampler};

use super::{Guide, guide::Masked, prompt::token_logprobs};
use crate::{answer_text::AnswerText, energy::RequestEnergy, events, sampling::failure, speculation::Pace};

/// How a generation goes: plain data, checked by the engine's front.
pub(crate) struct GenerationSpec {
    pub(crate) sampler: Sampler,
    /// What the answer has to look like.
    pub(crate) guide: Option<Guide>,
    pub(crate) text: AnswerText,
    pub(crate) max_tokens: usize,
    /// Tokens that end the answer.
    pub(crate) ends: Ends,
    /// Alternatives to report.
    pub(crate) logprobs: Option<usize>,
    pub(crate) keep: KeepContext,
    /// Tokens of context and prompt.
    pub(crate) prompt_tokens: usize,
    pub(crate) events: mpsc::UnboundedSender<Result<Event, EngineError>>,
    /// Dropped or completed when the caller asks for an early end.
    pub(crate) stop: oneshot::Receiver<()>,
    pub(crate) arrived: Instant,
    pub(crate) deadline: Option<Instant>,
}

/// Tokens that end an answer and are not part of it.
#[derive(Clone, Default)]
pub(crate) struct Ends {
    /// The model's own.
    pub(crate) of_text: Vec<u32>,
    /// The request's.
    pub(crate) stop: Vec<u32>,
}

impl Ends {
    pub(crate) fn contains(&self, token: u32) -> bool {
        self.of_text.contains(&token) || self.stop.contains(&token)
    }
}

/// State of a generation between steps.
pub(crate) struct Generation {
    pub(super) spec: GenerationSpec,
    pub(super) usage: Usage,
    pub(super) pace: Pace,
    pub(super) energy: RequestEnergy,
    started: Option<Instant>,
    first_token: Option<Instant>,
}

/// An end that does not come from the model.
pub(super) enum EarlyEnd {
    /// Nobody listens any more.
    Abandoned,
    /// The caller hears of it.
    Reported(FinishReason),
}

/// What a token means for the sequence.
pub(super) enum Verdict {
    /// Append these tokens and go on.
    Continue(Vec<u32>),
    /// It is over, after these tokens.
    End(FinishReason, Vec<u32>),
}

impl Generation {
    pub(crate) fn new(spec: GenerationSpec) -> Self {
        let usage = Usage { prompt_tokens: spec.prompt_tokens, ..Usage::default() };
        let (pace, energy) = (Pace::new(Speculation::Auto), RequestEnergy::default());
        Self { spec, usage, pace, energy, started: None, first_token: None }
    }

    /// Chooses how tokens are drafted ahead.
    pub(crate) fn with_speculation(mut self, speculation: Speculation) -> Self {
        self.pace = Pace::new(speculation);
        self
    }

    /// Whether the end carries a handle on the sequence.
    pub(super) fn keeps_context(&self) -> bool {
        self.spec.keep == KeepContext::Yes
    }

    /// Whether it shall end before its next step.
    pub(super) fn early_end(&mut self, now: Instant) -> Option<EarlyEnd> {
        if self.spec.events.is_closed() {
            return Some(EarlyEnd::Abandoned);
        }
        if matches!(self.spec.stop.try_recv(), Ok(Some(()))) {
            return Some(EarlyEnd::Reported(FinishReason::Interrupted));
        }
        let is_late = self.spec.deadline.is_some_and(|deadline| now >= deadline);
        is_late.then_some(EarlyEnd::Reported(FinishReason::Deadline))
    }

    /// Notes the first step of this generation and what it found in the cache.
    pub(super) fn start(&mut self, num_cached: usize) {
        if self.started.is_none() {
            self.started = Some(Instant::now());
            self.usage.cached_tokens = num_cached;
        }
    }

    /// Changes the list of processors.
    pub(crate) fn map_processors(
        &mut self,
        change: impl FnOnce(Vec<Box<dyn Processor>>) -> Vec<Box<dyn Processor>>,
    ) {
        self.spec.sampler.map_processors(change);
    }

    /// Reports what the model thinks of the prompt.
    pub(super) fn report_prompt(&self, event: PromptEvent) {
        self.send(Event::Prompt(event));
    }

    /// Gives the grammar's constraint to whoever computes its next mask.
    pub(super) fn lend_constraint(&mut self) -> Option<Constraint> {
        self.spec.guide.as_mut()?.lend()
    }

    /// Takes it back.
    pub(super) fn take_mask(&mut self, masked: Masked) {
        if let Some(guide) = &mut self.spec.guide {
            guide.give_back(masked);
        }
    }

    /// Chooses the token that follows `tokens`, reports it and those that the grammar leaves no choice about, and says
    /// how to go on. A token that was drafted for this place takes part in the choice, if it is given.
    ///
    /// # Shapes
    /// `logits`: `[v]`
    pub(super) fn advance(
        &mut self,
        logits: &Tensor,
        tokens: &[u32],
        proposal: Option<&Proposal>,
    ) -> Result<Verdict, EngineError> {
        let history = History::new(tokens, self.spec.prompt_tokens);
        let allowed = self.allowed(logits)?;
        let sampler = &mut self.spec.sampler;
        let chosen = match proposal {
            Some(proposal) => sampler.verify(&allowed, &history, proposal),
            None => sampler.sample(&allowed, &history),
        };
        let token = chosen.map_err(failure)?;
        self.pace.see(token);
        self.first_token.get_or_insert_with(Instant::now);
        let mut chosen = Vec::new();
        let mut end = self.take(token, Some(logits), &mut chosen)?;
        let forced = match &mut self.spec.guide {
            Some(guide) if end.is_none() => guide.forced(),
            _ => Vec::new(),
        };
        for token in forced {
            if end.is_none() {
                end = self.take(token, None, &mut chosen)?;
                self.usage.forced_tokens += 1;
            }
        }
        Ok(match end {
            Some(reason) => Verdict::End(reason, chosen),
            None => Verdict::Continue(chosen),
        })
    }

    /// The logits of tokens that the grammar allows.
    ///
    /// # Shapes
    /// `logits`: `[v]`; result: the same.
    fn allowed(&mut self, logits: &Tensor) -> Result<Tensor, EngineError> {
        match &mut self.spec.guide {
            Some(guide) => guide.mask()?.masked(logits).map_err(failure),
            None => Ok(logits.clone()),
        }
    }

    /// Takes a token into the answer, unless it is one that ends it, and reports it. Says whether the answer ends here.
    ///
    /// # Shapes
    /// `logits`: `[v]`
    fn take(
        &mut self,
        token: u32,
        logits: Option<&Tensor>,
        chosen: &mut Vec<u32>,
    ) -> Result<Option<FinishReason>, EngineError> {
        self.spec.sampler.accept(token).map_err(failure)?;
        if self.spec.ends.of_text.contains(&token) {
            return Ok(Some(FinishReason::EndOfText));
        }
        if self.spec.ends.stop.contains(&token) {
            return Ok(Some(FinishReason::StopToken(token)));
        }
        if let Some(guide) = &mut self.spec.guide {
            guide.accept(token)?;
        }
        let progress =
            self.spec.text.push(token).map_err(|source| EngineError::Tokenizer(Box::new(source)))?;
        let wanted = self.spec.logprobs.zip(logits);
        let logprobs = wanted.map(|(number, logits)| token_logprobs(logits, token, number)).transpose()?;
        chosen.push(token);
        self.usage.completion_tokens += 1;
        let (text, citations) = self.cited(progress.text);
        self.send(Event::Token(TokenEvent { id: token, text, logprobs }));
        citations.into_iter().for_each(|citation| self.send(Event::Citation(citation)));
        if let Some(stop) = progress.stop {
            return Ok(Some(FinishReason::Stop(stop)));
        }
        let num_tokens = self.usage.completion_tokens;
        if let Some(guide) = &mut self.spec.guide
            && guide.is_complete(num_tokens)?
        {
            return Ok(Some(FinishReason::EndOfText));
        }
        Ok((num_tokens >= self.spec.max_tokens).then_some(FinishReason::MaxTokens))
    }

    /// Text as the caller shall see it, and what it cites.
    fn cited(&mut self, text: String) -> (String, Vec<Citation>) {
        match &mut self.spec.guide {
            Some(guide) => guide.text(text),
            None => (text, Vec::new()),
        }
    }

    /// Reports the end.
    pub(super) fn finish(mut self, reason: FinishReason, context: Option<PinnedContext>) {
        let progress = match reason {
            FinishReason::Stop(_) => None,
            _ => Some(self.spec.text.finish()),
        };
        // A stop text may become certain only with the last, incomplete character.
        let (text, late_stop) = progress.map_or_else(Default::default, |end| (end.text, end.stop));
        let reason = late_stop.map_or(reason, FinishReason::Stop);
        // A marker that the end has cut off is no part of the answer.
        let (text, citations) = self.cited(text);
        citations.into_iter().for_each(|citation| self.send(Event::Citation(citation)));
        let since_arrival = |at: Option<Instant>| at.unwrap_or(self.spec.arrived) - self.spec.arrived;
        let timings = Timings {
            queued: since_arrival(self.started),
            time_to_first_token: since_arrival(self.first_token),
            total: self.spec.arrived.elapsed(),
        };
        self.usage.speculation.saved_us = self.pace.saved_us().round() as i64;
        events::request_finished(&reason, &self.usage, &timings, &self.energy.per_token(&self.usage));
        self.send(Event::Finished(Finished { reason, text, usage: self.usage, timings, context }));
    }

    /// Reports a failure, which ends the stream.
    pub(super) fn fail(self, error: EngineError) {
        events::request_failed(&error);
        // A listener that has gone needs no news.
        let _ = self.spec.events.unbounded_send(Err(error));
    }

    fn send(&self, event: Event) {
        // A listener that has gone is noticed before the next step.
        let _ = self.spec.events.unbounded_send(Ok(event));
    }
}
