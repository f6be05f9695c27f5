//! Sends requests to endpoints, and sends them again where that is safe.
//!
//! Owns the HTTP client, the endpoints with their health, and every decision about repeating. A request whose answer has begun is
//! never repeated. Before that, a generation is repeated only if no server can have taken it: the connection was
//! refused, or the server said 429 or 503. What changes nothing at the server ([`Effect::None`]) is also repeated when the connection broke.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{
    Client, Method, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};

use crate::{
    RemoteError, RetryPolicy, WaitedFor, events,
    pool::{EndpointPool, Failure},
    retry,
};

/// Most bytes of an error's body that are read.
const ERROR_LIMIT_BYTES: usize = 64 << 10;

/// How long an engine waits for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the head of an answer, once the request is sent. A server that answers in one piece computes everything before that.
    pub first_byte: Duration,
    /// Between two parts of an answer. Comments that keep a connection alive count.
    pub idle: Duration,
    /// From the request to the end of the answer, repetitions included; without limit if absent.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    /// 5 seconds, 5 minutes, 2 minutes, and no limit for the whole.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(300),
            idle: Duration::from_secs(120),
            total: None,
        }
    }
}

/// What a request changes at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: the same request again gives the same answer.
    None,
    /// It starts work, or makes something.
    Some,
}

/// A request for any endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// From the endpoint's root, such as `/v1/models`.
    pub(crate) path: String,
    pub(crate) body: Option<Arc<[u8]>>,
    pub(crate) effect: Effect,
}

/// An answer that has begun, and where it comes from.
pub(crate) struct Reply {
    pub(crate) endpoint: usize,
    pub(crate) response: Response,
    /// When it has to be over.
    pub(crate) deadline: Option<Instant>,
}

/// An answer that is an error of the server's.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) url: String,
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// How an attempt failed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The server answered, and its answer is no.
    Refused(Refusal),
    /// There is no answer.
    Failed(RemoteError),
}

/// The client and its endpoints.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) client: Client,
    /// Roots, without a slash at the end.
    pub(crate) urls: Vec<String>,
    pub(crate) pool: EndpointPool,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeouts: Timeouts,
}

impl Transport {
    /// Asks whichever endpoint answers.
    pub(crate) async fn send(&self, call: &Call) -> Result<Reply, CallError> {
        let deadline = self.deadline();
        let first = self.pool.pick(Instant::now(), &[]).unwrap_or_default();
        self.limited(deadline, first, self.send_until(call, deadline, first)).await
    }

    /// Asks this endpoint, because nobody else can answer.
    pub(crate) async fn send_to(&self, endpoint: usize, call: &Call) -> Result<Reply, CallError> {
        let deadline = self.deadline();
        let attempts = async {
            let mut round = 1;
            loop {
                let error = match self.attempt(endpoint, call, deadline).await {
                    Ok(reply) => return Ok(reply),
                    Err(error) => error,
                };
                self.pause(round, error, call).await?;
                round += 1;
            }
        };
        self.limited(deadline, endpoint, attempts).await
    }

    fn deadline(&self) -> Option<Instant> {
        self.timeouts.total.and_then(|total| Instant::now().checked_add(total))
    }

    async fn limited(
        &self,
        deadline: Option<Instant>,
        endpoint: usize,
        reply: impl Future<Output = Result<Reply, CallError>>,
    ) -> Result<Reply, CallError> {
        match deadline {
            None => reply.await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), reply)
                .await
                .unwrap_or_else(|_| Err(CallError::Failed(self.timed_out(endpoint, WaitedFor::End)))),
        }
    }

    async fn send_until(
        &self,
        call: &Call,
        deadline: Option<Instant>,
        first: usize,
    ) -> Result<Reply, CallError> {
        let (mut endpoint, mut tried, mut round) = (first, Vec::new(), 1);
        loop {
            let error = match self.attempt(endpoint, call, deadline).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            if !error.may_repeat(call.effect) {
                return Err(error);
            }
            tried.push(endpoint);
            if let Some(next) = self.pool.pick(Instant::now(), &tried) {
                endpoint = next;
                continue;
            }
            self.pause(round, error, call).await?;
            tried.clear();
            round += 1;
            endpoint = self.pool.pick(Instant::now(), &[]).unwrap_or_default();
        }
    }

    /// Waits before the next attempt, or gives up with the error.
    async fn pause(&self, round: usize, error: CallError, call: &Call) -> Result<(), CallError> {
        let pause = self.retry.pause(round, error.retry_after(), retry::spread());
        match pause {
            Some(pause) if error.may_repeat(call.effect) => {
                events::request_repeated(&call.path, round, pause, &error);
                tokio::time::sleep(pause).await;
                Ok(())
            }
            _ => Err(error),
        }
    }

    async fn attempt(
        &self,
        endpoint: usize,
        call: &Call,
        deadline: Option<Instant>,
    ) -> Result<Reply, CallError> {
        let mut trial = Trial { transport: self, endpoint, is_over: false };
        let url = format!("{}{}", self.urls[endpoint], call.path);
        let mut request = self.client.request(call.method.clone(), url);
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_vec());
        }
        let answer = tokio::time::timeout(self.timeouts.first_byte, request.send()).await;
        let response = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Err(CallError::Failed(trial.failed(self.sending_failed(endpoint, error))));
            }
            Err(_) => {
                return Err(CallError::Failed(trial.failed(self.timed_out(endpoint, WaitedFor::FirstByte))));
            }
        };
        if response.status().is_success() {
            trial.succeeded();
            return Ok(Reply { endpoint, response, deadline });
        }
        let refusal = self.refusal(endpoint, response).await;
        if refusal.status.is_server_error() {
            trial.is_faulty()
        } else {
            trial.succeeded()
        }
        Err(CallError::Refused(refusal))
    }

    async fn refusal(&self, endpoint: usize, response: Response) -> Refusal {
        let status = response.status();
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let read = tokio::time::timeout(self.timeouts.idle, read(response, ERROR_LIMIT_BYTES));
        let body = read.await.ok().and_then(Result::ok).unwrap_or_default();
        Refusal {
            url: self.urls[endpoint].clone(),
            status,
            retry_after: seconds.map(Duration::from_secs),
            body,
        }
    }

    /// Reads an answer in one piece.
    pub(crate) async fn read(&self, reply: Reply, limit_bytes: usize) -> Result<Vec<u8>, RemoteError> {
        let Reply { endpoint, response, deadline } = reply;
        let url = || self.urls[endpoint].clone();
        let whole = async {
            match tokio::time::timeout(self.timeouts.idle, read(response, limit_bytes)).await {
                Ok(Ok(body)) => Ok(body),
                Ok(Err(ReadError::Broken(error))) => {
                    Err(RemoteError::Broken { url: url(), source: Some(Box::new(error)) })
                }
                Ok(Err(ReadError::TooLong)) => Err(RemoteError::Protocol {
                    url: url(),
                    reason: format!("an answer of more than {limit_bytes} bytes"),
                }),
                Err(_) => Err(self.timed_out(endpoint, WaitedFor::NextByte)),
            }
        };
        match deadline {
            None => whole.await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), whole)
                .await
                .unwrap_or_else(|_| Err(self.timed_out(endpoint, WaitedFor::End))),
        }
    }

    pub(crate) fn timed_out(&self, endpoint: usize, waited_for: WaitedFor) -> RemoteError {
        let limit = match waited_for {
            WaitedFor::FirstByte => self.timeouts.first_byte,
            WaitedFor::NextByte => self.timeouts.idle,
            WaitedFor::End => self.timeouts.total.unwrap_or_default(),
        };
        RemoteError::TimedOut { url: self.urls[endpoint].clone(), waited_for, limit }
    }

    fn sending_failed(&self, endpoint: usize, error: reqwest::Error) -> RemoteError {
        let url = self.urls[endpoint].clone();
        // The address is in the variant already.
        let error = error.without_url();
        if error.is_connect() {
            RemoteError::Unreachable { url, source: Box::new(error) }
        } else {
            RemoteError::Broken { url, source: Some(Box::new(error)) }
        }
    }

    /// Notes that an endpoint failed in the middle of an answer.
    pub(crate) fn broke_off(&self, endpoint: usize) {
        self.note_failure(endpoint, Failure::Faulty);
    }

    fn note_failure(&self, endpoint: usize, failure: Failure) {
        if self.pool.failed(endpoint, failure, Instant::now()) {
            events::endpoint_out(&self.urls[endpoint], failure);
        }
    }

    fn note_success(&self, endpoint: usize) {
        if self.pool.succeeded(endpoint) {
            events::endpoint_back(&self.urls[endpoint]);
        }
    }

    /// Asks an endpoint whether it is well, and notes what it says.
    pub(crate) async fn probe(&self, endpoint: usize) {
        let mut trial = Trial { transport: self, endpoint, is_over: false };
        let mut status = self.probe_at(endpoint, "/health").await;
        if matches!(status, Ok(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)) {
            status = self.probe_at(endpoint, "/v1/models").await;
        }
        match status {
            Ok(status) if !status.is_server_error() => trial.succeeded(),
            Ok(_) => trial.is_faulty(),
            Err(failure) => trial.note(failure),
        }
    }

    async fn probe_at(&self, endpoint: usize, path: &str) -> Result<StatusCode, Failure> {
        let request = self.client.get(format!("{}{path}", self.urls[endpoint]));
        match tokio::time::timeout(self.timeouts.connect * 2, request.send()).await {
            Ok(Ok(response)) => Ok(response.status()),
            Ok(Err(error)) if error.is_connect() => Err(Failure::Unreachable),
            _ => Err(Failure::Faulty),
        }
    }
}

/// A request under way at an endpoint. If it is given up, the endpoint is none the worse for it.
struct Trial<'a> {
    transport: &'a Transport,
    endpoint: usize,
    is_over: bool,
}

impl Trial<'_> {
    fn succeeded(&mut self) {
        self.is_over = true;
        self.transport.note_success(self.endpoint);
    }

    fn is_faulty(&mut self) {
        self.note(Failure::Faulty);
    }

    fn failed(&mut self, error: RemoteError) -> RemoteError {
        let is_unreachable = matches!(error, RemoteError::Unreachable { .. });
        self.note(if is_unreachable { Failure::Unreachable } else { Failure::Faulty });
        error
    }

    fn note(&mut self, failure: Failure) {
        self.is_over = true;
        self.transport.note_failure(self.endpoint, failure);
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.transport.pool.abandoned(self.endpoint);
        }
    }
}

impl CallError {
    fn may_repeat(&self, effect: Effect) -> bool {
        match self {
            Self::Failed(RemoteError::Unreachable { .. }) => true,
            Self::Failed(RemoteError::Broken { .. }) => effect == Effect::None,
            Self::Failed(_) => false,
            Self::Refused(refusal) => {
                matches!(refusal.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::Failed(_) => None,
        }
    }
}

enum ReadError {
    Broken(reqwest::Error),
    TooLong,
}

/// Reads a body that is no longer than `limit_bytes`.
async fn read(mut response: Response, limit_bytes: usize) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| ReadError::Broken(error.without_url()))? {
        if body.len() + chunk.len() > limit_bytes {
            return Err(ReadError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
