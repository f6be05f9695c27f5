//! The stream of a generation.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use crate::{Citation, EngineError, Event, Finished};

/// Events of one generation: perhaps the prompt's, tokens, then [`Event::Finished`] or an error, then nothing. Dropping it cancels the work.
pub struct TokenStream {
    events: Pin<Box<dyn Stream<Item = Result<Event, EngineError>> + Send>>,
    on_stop: Option<Box<dyn FnOnce() + Send>>,
}

/// A finished generation. What streams along besides, such as log-probabilities, is for those who listen.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The answer.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// What it cites, in order.
    pub citations: Vec<Citation>,
    /// How it ended.
    pub finished: Finished,
}

impl TokenStream {
    /// For engines: wraps the stream that carries the events, and what asks for an early end.
    pub fn new(
        events: impl Stream<Item = Result<Event, EngineError>> + Send + 'static,
        on_stop: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self { events: Box::pin(events), on_stop: Some(Box::new(on_stop)) }
    }

    /// Asks for an early end: the stream still ends with [`Event::Finished`], of reason
    /// [`crate::FinishReason::Interrupted`] unless it was about to end anyway.
    pub fn stop(&mut self) {
        if let Some(on_stop) = self.on_stop.take() {
            on_stop();
        }
    }

    /// The next event; `None` after the end.
    ///
    /// # Errors
    /// The error that ended the generation.
    pub async fn next_event(&mut self) -> Result<Option<Event>, EngineError> {
        poll_fn(|context| self.events.as_mut().poll_next(context)).await.transpose()
    }

    /// Waits for the end and puts the answer together.
    ///
    /// # Errors
    /// The error that ended the generation; [`EngineError::Stopped`] if the engine went away.
    pub async fn collect(mut self) -> Result<Completion, EngineError> {
        let (mut text, mut tokens, mut citations) = (String::new(), Vec::new(), Vec::new());
        while let Some(event) = self.next_event().await? {
            match event {
                Event::Prompt(_) => {}
                Event::Citation(citation) => citations.push(citation),
                Event::Token(token) => {
                    text.push_str(&token.text);
                    tokens.push(token.id);
                }
                Event::Finished(finished) => {
                    text.push_str(&finished.text);
                    return Ok(Completion { text, tokens, citations, finished });
                }
            }
        }
        Err(EngineError::Stopped)
    }
}

impl Stream for TokenStream {
    type Item = Result<Event, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(context)
    }
}

impl fmt::Debug for TokenStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenStream")
    }
}
