//! [`CitedAnswer`]: an answer as it comes, with typed citations in place.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use llama_engine::{EngineError, Event, Finished, TokenStream};

use crate::{Chunk, ChunkId, RagError, error::Result};

/// A citation, and what it points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCitation {
    /// Its number, as the reader sees it.
    pub number: u32,
    /// The chunk.
    pub chunk: ChunkId,
    /// The chunk's document.
    pub source: Arc<str>,
    /// Where the chunk stands: bytes of the document.
    pub range: Range<usize>,
    /// Where the marker stands: bytes of the answer.
    pub marker: Range<usize>,
}

/// What comes of an answer.
#[derive(Clone, Debug)]
pub enum AnswerEvent {
    /// The next piece of text; citation markers are part of it. All pieces make up the answer.
    Text(String),
    /// A citation, after the text with its marker.
    Citation(SourceCitation),
    /// The end; nothing follows.
    End(Box<AnswerEnd>),
}

/// The end of an answer.
#[derive(Clone, Debug)]
pub struct AnswerEnd {
    /// The whole text.
    pub text: String,
    /// All citations, in order.
    pub citations: Vec<SourceCitation>,
    /// Reason, usage, timings, and the kept context.
    pub finished: Finished,
    /// Tokens of the answer, without what it was resumed from.
    pub(crate) tokens: Vec<u32>,
    /// Where their text starts.
    pub(crate) resumed_at: usize,
}

/// What to print as it comes: the text, and at the end the sources.
impl fmt::Display for AnswerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Citation(_) => Ok(()),
            Self::End(end) => write!(f, "\n\n{end}\n\n"),
        }
    }
}

/// The sources, each once, and what the answer took.
impl fmt::Display for AnswerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: BTreeMap<u32, &SourceCitation> =
            self.citations.iter().map(|citation| (citation.number, citation)).collect();
        for (number, SourceCitation { source, range, .. }) in sources {
            writeln!(f, "[{number}] {source}, bytes {} to {}", range.start, range.end)?;
        }
        let Finished { usage, timings, .. } = &self.finished;
        let first_ms = timings.time_to_first_token.as_secs_f64() * 1e3;
        write!(f, "({} + {} tokens, ", usage.prompt_tokens, usage.completion_tokens)?;
        write!(
            f,
            "{:.0} % of the prompt cached; first token after {first_ms:.0} ms)",
            100.0 * self.cache_hit_rate()
        )
    }
}

impl AnswerEnd {
    /// Share of the prompt that did not have to be read again, 0 to 1.
    pub fn cache_hit_rate(&self) -> f64 {
        let usage = &self.finished.usage;
        usage.cached_tokens as f64 / usage.prompt_tokens.max(1) as f64
    }

    /// The answer up to `len` bytes of its text.
    pub(crate) fn before(&self, len: usize) -> Said {
        let mut citations = self.citations.clone();
        citations.retain(|citation| citation.marker.end <= len);
        Said { text: self.text[..len].to_owned(), citations }
    }
}

/// An answer as it comes. Dropping it cancels the work.
#[derive(Debug)]
pub struct CitedAnswer {
    stream: TokenStream,
    chunks: Arc<[Chunk]>,
    said: Said,
    tokens: Vec<u32>,
    resumed_at: usize,
    /// An end that waits for its text to be taken.
    end: Option<Finished>,
}

/// What has been said, and cited.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    text: String,
    citations: Vec<SourceCitation>,
}

impl CitedAnswer {
    /// Gives meaning to the citations of a stream, which goes on from what was said: number 1 is the first chunk.
    pub(crate) fn new(stream: TokenStream, chunks: Arc<[Chunk]>, said: Said) -> Self {
        let resumed_at = said.text.len();
        Self { stream, chunks, said, tokens: Vec::new(), resumed_at, end: None }
    }

    /// Asks for an early end: the rest that has been said still comes, then [`AnswerEvent::End`].
    pub fn stop(&mut self) {
        self.stream.stop();
    }

    /// What comes next; `None` after the end.
    ///
    /// # Errors
    /// The error that ended the answer.
    pub async fn next_event(&mut self) -> Result<Option<AnswerEvent>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await.transpose()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// The error that ended the answer; [`EngineError::Stopped`] if the engine went away.
    pub async fn collect(mut self) -> Result<AnswerEnd> {
        while let Some(event) = self.next_event().await? {
            if let AnswerEvent::End(end) = event {
                return Ok(*end);
            }
        }
        Err(RagError::Engine(EngineError::Stopped))
    }

    fn say(&mut self, text: String) -> Option<AnswerEvent> {
        self.said.text.push_str(&text);
        (!text.is_empty()).then_some(AnswerEvent::Text(text))
    }

    /// What an event of the engine means here; `None` if nothing.
    fn translate(&mut self, event: Event) -> Option<AnswerEvent> {
        match event {
            Event::Prompt(_) => None,
            Event::Token(token) => {
                self.tokens.push(token.id);
                self.say(token.text)
            }
            Event::Citation(citation) => {
                let chunk = self.chunks.get((citation.id as usize).checked_sub(1)?)?;
                let Range { start, end } = citation.range;
                let cited = SourceCitation {
                    number: citation.id,
                    chunk: chunk.id,
                    source: chunk.source.clone(),
                    range: chunk.range.clone(),
                    marker: self.resumed_at + start..self.resumed_at + end,
                };
                self.said.citations.push(cited.clone());
                Some(AnswerEvent::Citation(cited))
            }
            Event::Finished(mut finished) => {
                let said = self.say(std::mem::take(&mut finished.text));
                self.end = Some(finished);
                said
            }
        }
    }

    fn ended(&mut self, finished: Finished) -> AnswerEnd {
        let Said { text, citations } = std::mem::take(&mut self.said);
        AnswerEnd {
            text,
            citations,
            finished,
            tokens: std::mem::take(&mut self.tokens),
            resumed_at: self.resumed_at,
        }
    }
}

impl Stream for CitedAnswer {
    type Item = Result<AnswerEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(finished) = self.end.take() {
                return Poll::Ready(Some(Ok(AnswerEvent::End(Box::new(self.ended(finished))))));
            }
            match ready!(Pin::new(&mut self.stream).poll_next(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(event)) => {
                    if let Some(event) = self.translate(event) {
                        return Poll::Ready(Some(Ok(event)));
                    }
                }
            }
        }
    }
}
