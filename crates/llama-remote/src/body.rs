//! The body of a streamed answer: server-sent events, until `[DONE]`.
//!
//! Owns the connection of one answer. Dropping it before the end closes the connection, which tells the server to stop; after the end
//! the connection is left to be used again.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::time::Sleep;

use crate::{
    RemoteError, WaitedFor,
    sse::{SseDecoder, SseEvent},
    transport::{Reply, Transport},
};

/// Most bytes of one event: a prompt's log-probabilities come in one.
const EVENT_LIMIT_BYTES: usize = 64 << 20;
/// How long what follows `[DONE]` is waited for, so that the connection can be used again.
const LINGER: Duration = Duration::from_secs(1);

type Chunks = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// The events of one answer. Ends after `[DONE]`, or with the body.
pub(crate) struct EventBody {
    transport: Arc<Transport>,
    endpoint: usize,
    /// `None` once it is over.
    bytes: Option<Chunks>,
    decoder: SseDecoder,
    events: VecDeque<SseEvent>,
    /// Runs while nothing arrives.
    idle: Option<Pin<Box<Sleep>>>,
    end: Option<Pin<Box<Sleep>>>,
}

impl EventBody {
    pub(crate) fn new(transport: Arc<Transport>, reply: Reply) -> Self {
        let Reply { endpoint, response, deadline } = reply;
        Self {
            transport,
            endpoint,
            bytes: Some(Box::pin(response.bytes_stream())),
            decoder: SseDecoder::new(EVENT_LIMIT_BYTES),
            events: VecDeque::new(),
            idle: None,
            end: deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline.into()))),
        }
    }

    /// Where the answer comes from.
    pub(crate) fn url(&self) -> String {
        self.transport.urls[self.endpoint].clone()
    }

    /// Hangs up.
    pub(crate) fn close(&mut self) {
        self.bytes = None;
    }

    /// An error of the stream itself, which is over then.
    fn fail(&mut self, error: RemoteError) -> Poll<Option<Result<SseEvent, RemoteError>>> {
        self.bytes = None;
        self.events.clear();
        self.transport.broke_off(self.endpoint);
        Poll::Ready(Some(Err(error)))
    }

    fn poll_limits(&mut self, context: &mut Context<'_>) -> Poll<RemoteError> {
        let limit = self.transport.timeouts.idle;
        let idle = self.idle.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if idle.as_mut().poll(context).is_ready() {
            return Poll::Ready(self.transport.timed_out(self.endpoint, WaitedFor::NextByte));
        }
        if let Some(end) = &mut self.end {
            ready!(end.as_mut().poll(context));
            return Poll::Ready(self.transport.timed_out(self.endpoint, WaitedFor::End));
        }
        Poll::Pending
    }

    /// Reads what follows the last event, behind the caller's back.
    fn linger(&mut self) {
        let Some(mut bytes) = self.bytes.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let mut next = async || std::future::poll_fn(|context| bytes.as_mut().poll_next(context)).await;
            let rest = async { while let Some(Ok(_)) = next().await {} };
            // A server that goes on talking is hung up on.
            let _ = tokio::time::timeout(LINGER, rest).await;
        });
    }
}

impl Stream for EventBody {
    type Item = Result<SseEvent, RemoteError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                if event.data.trim() != "[DONE]" {
                    return Poll::Ready(Some(Ok(event)));
                }
                self.events.clear();
                self.linger();
            }
            let Some(bytes) = &mut self.bytes else { return Poll::Ready(None) };
            match bytes.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(chunk))) => {
                    self.idle = None;
                    let this = &mut *self;
                    if let Err(error) = this.decoder.push(&chunk, &mut this.events) {
                        let error = RemoteError::Protocol { url: this.url(), reason: error.to_string() };
                        return this.fail(error);
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    let source = Some(error.without_url().into());
                    let error = RemoteError::Broken { url: self.url(), source };
                    return self.fail(error);
                }
                Poll::Ready(None) => self.bytes = None,
                Poll::Pending => {
                    let error = ready!(self.poll_limits(context));
                    return self.fail(error);
                }
            }
        }
    }
}
