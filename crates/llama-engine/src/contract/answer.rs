//! What the clauses share: asking, listening to the end, and doing several things at once.

use std::{future::Future, pin::Pin, task::Poll};

use crate::{
    Citation, EndOfText, EngineError, Event, Finished, GenerateRequest, LlamaEngine, Prompt, PromptEvent,
    Sampling, TokenEvent, TokenStream,
};

/// Everything that one stream said.
pub(super) struct Answer {
    /// What it said of the prompt, which comes before everything else.
    pub(super) prompt: Option<PromptEvent>,
    pub(super) events: Vec<TokenEvent>,
    pub(super) citations: Vec<Citation>,
    pub(super) finished: Finished,
}

impl Answer {
    pub(super) fn tokens(&self) -> Vec<u32> {
        self.events.iter().map(|event| event.id).collect()
    }

    pub(super) fn text(&self) -> String {
        let mut text: String = self.events.iter().map(|event| event.text.as_str()).collect();
        text.push_str(&self.finished.text);
        text
    }
}

/// A greedy request for exactly `len` tokens, whatever the model thinks of it.
pub(super) fn exactly(len: usize, prompt: impl Into<Prompt>) -> GenerateRequest {
    GenerateRequest::new(prompt).with_max_tokens(len).with_end(EndOfText::Ignored)
}

/// Draws at temperature 1.
pub(super) fn random(seed: u64) -> Sampling {
    Sampling { temperature: 1.0, seed: Some(seed), ..Sampling::default() }
}

/// Asks and listens to the end.
pub(super) async fn ask<E: LlamaEngine>(engine: &E, request: GenerateRequest) -> Answer {
    listen(start(engine, request).await).await
}

/// Starts a generation that must not be refused.
pub(super) async fn start<E: LlamaEngine>(engine: &E, request: GenerateRequest) -> TokenStream {
    accepted(engine.generate(request).await)
}

/// Listens to the end, and makes sure that it is the end.
pub(super) async fn listen(mut stream: TokenStream) -> Answer {
    let (mut prompt, mut events, mut citations) = (None, Vec::new(), Vec::new());
    loop {
        match accepted(stream.next_event().await) {
            Some(Event::Prompt(event)) => {
                assert!(events.is_empty(), "the prompt after {} tokens", events.len());
                let earlier = prompt.replace(event);
                assert!(earlier.is_none(), "the prompt a second time");
            }
            Some(Event::Token(event)) => events.push(event),
            Some(Event::Citation(citation)) => citations.push(citation),
            Some(Event::Finished(finished)) => {
                let after = stream.next_event().await;
                assert!(matches!(after, Ok(None)), "after the end comes {after:?}");
                return Answer { prompt, events, citations, finished };
            }
            None => panic!("the stream ends without Event::Finished"),
        }
    }
}

/// What must not fail.
pub(super) fn accepted<T>(outcome: Result<T, EngineError>) -> T {
    outcome.unwrap_or_else(|error| panic!("refused or failed: {error:?}"))
}

/// Token ids of a text.
pub(super) async fn tokens_of<E: LlamaEngine>(engine: &E, text: &str) -> Vec<u32> {
    accepted(engine.tokenize(text).await)
}

/// Runs futures at the same time and returns what they return, in their order.
pub(super) async fn join<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in running.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *output = Some(value);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
