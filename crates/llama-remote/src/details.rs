//! Reads the answers of our own server: the standard's chunks with the extension's details, which have all that an engine says.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use llama_engine::{
    Citation, DraftPlace, EngineError, Event, FinishReason, Finished, MAX_DRAFT_LEN, PinnedContext,
    PromptEvent, PromptToken, SpeculationUsage, Timings, TokenEvent, TokenLogprob, Usage,
};
use llama_openai as wire;

use crate::{
    RemoteError,
    answer::Reading,
    pins::Pins,
    refusal,
    reply::{Choice, Chunk, Logprobs},
};

/// Reads one answer.
pub(crate) struct DetailedReading {
    pub(crate) url: String,
    pub(crate) endpoint: usize,
    pub(crate) pins: Arc<Pins>,
    /// What came with the end.
    end: Option<End>,
}

struct End {
    text: String,
    details: wire::FinishDetails,
    context: Option<PinnedContext>,
}

impl DetailedReading {
    pub(crate) fn new(url: String, endpoint: usize, pins: Arc<Pins>) -> Self {
        Self { url, endpoint, pins, end: None }
    }

    fn protocol(&self, reason: impl Into<String>) -> EngineError {
        RemoteError::Protocol { url: self.url.clone(), reason: reason.into() }.into()
    }

    fn choice(&mut self, choice: Choice, events: &mut VecDeque<Event>) -> Result<(), EngineError> {
        let mut text = choice.text.or(choice.delta.and_then(|delta| delta.content)).unwrap_or_default();
        if let Some(tokens) = choice.prompt_tokens {
            let tokens = tokens.into_iter().map(|token| PromptToken {
                id: token.id,
                logprobs: token.logprobs.map(|entries| entries.into_iter().map(logprob).collect()),
            });
            events.push_back(Event::Prompt(PromptEvent { tokens: tokens.collect() }));
        }
        let ids = choice.token_ids.unwrap_or_default();
        let mut logprobs = self.logprobs(choice.logprobs, ids.len())?.into_iter();
        let last = ids.len().saturating_sub(1);
        for (i, id) in ids.into_iter().enumerate() {
            // The text became certain with the last of them.
            let text = if i == last { std::mem::take(&mut text) } else { String::new() };
            events.push_back(Event::Token(TokenEvent { id, text, logprobs: logprobs.next() }));
        }
        for citation in choice.citations.unwrap_or_default() {
            let range = citation.start as usize..citation.end as usize;
            events.push_back(Event::Citation(Citation { id: citation.id, marker: citation.marker, range }));
        }
        match choice.finish_details {
            Some(details) => {
                let context = choice.context.map(|context| self.pins.adopt(self.endpoint, context));
                self.end = Some(End { text, details, context });
            }
            None if !text.is_empty() => return Err(self.protocol("a text without the ids of its tokens")),
            None => {}
        }
        Ok(())
    }

    /// The log-probabilities of each of so many tokens, or none.
    fn logprobs(
        &self,
        found: Option<Logprobs>,
        num_tokens: usize,
    ) -> Result<Vec<Vec<TokenLogprob>>, EngineError> {
        let Some(found) = found else { return Ok(Vec::new()) };
        let rows: Option<Vec<Vec<TokenLogprob>>> = match (found.by_id, found.content) {
            (Some(rows), _) => {
                Some(rows.into_iter().map(|row| row.into_iter().map(logprob).collect()).collect())
            }
            (None, Some(entries)) => entries.iter().map(|entry| entry.by_id()).collect(),
            (None, None) => None,
        };
        match rows {
            Some(rows) if rows.len() == num_tokens => Ok(rows),
            Some(rows) if rows.is_empty() => Ok(rows),
            _ => Err(self.protocol("log-probabilities that do not belong to the tokens")),
        }
    }
}

impl Reading for DetailedReading {
    fn read(&mut self, data: &str, events: &mut VecDeque<Event>) -> Result<(), EngineError> {
        let chunk: Chunk = serde_json::from_str(data)
            .map_err(|error| self.protocol(format!("a part of the answer is no chunk: {error}")))?;
        if let Some(error) = &chunk.error {
            return Err(refusal::in_stream(self.url.clone(), error));
        }
        match chunk.choices.into_iter().next() {
            Some(choice) => self.choice(choice, events),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Option<Finished> {
        let End { text, details, context } = self.end.take()?;
        let timings = Timings {
            queued: Duration::from_micros(details.queued_us),
            time_to_first_token: Duration::from_micros(details.time_to_first_token_us),
            total: Duration::from_micros(details.total_us),
        };
        let usage = usage(&details);
        Some(Finished { reason: reason(details.reason), text, usage, timings, context })
    }
}

fn logprob(entry: wire::IdLogprob) -> TokenLogprob {
    TokenLogprob { id: entry.id, logprob: entry.logprob }
}

fn reason(cause: wire::FinishCause) -> FinishReason {
    match cause {
        wire::FinishCause::EndOfText => FinishReason::EndOfText,
        wire::FinishCause::StopText { text } => FinishReason::Stop(text),
        wire::FinishCause::StopToken { id } => FinishReason::StopToken(id),
        wire::FinishCause::MaxTokens => FinishReason::MaxTokens,
        wire::FinishCause::Interrupted => FinishReason::Interrupted,
        wire::FinishCause::Deadline => FinishReason::Deadline,
    }
}

fn usage(details: &wire::FinishDetails) -> Usage {
    let [num_drafts, drafted_tokens, accepted_tokens] = details.drafts.map(|count| count as usize);
    let cached = details.usage.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens);
    Usage {
        prompt_tokens: details.usage.prompt_tokens as usize,
        cached_tokens: cached.unwrap_or(0) as usize,
        completion_tokens: details.usage.completion_tokens as usize,
        forced_tokens: details.forced_tokens as usize,
        speculation: SpeculationUsage {
            num_drafts,
            drafted_tokens,
            accepted_tokens,
            by_place: [DraftPlace::default(); MAX_DRAFT_LEN],
            saved_us: 0,
        },
    }
}
