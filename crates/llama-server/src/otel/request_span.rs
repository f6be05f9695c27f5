//! One request, from its arrival to the end of its last answer.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use axum::{extract::Request, http::HeaderMap};
use llama_engine::{FinishReason, Finished, GenerateRequest};
use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::{Signals, instruments::attributes, phases::Phases};

/// The request's span, and its part in the histograms. Clones are the same; it ends with the last one.
#[derive(Clone, Default)]
pub(crate) struct RequestSpan(Option<Arc<Followed>>);

struct Followed {
    signals: Arc<Signals>,
    /// What is asked of the model; absent where nothing is.
    operation: Option<&'static str>,
    arrived: (Instant, SystemTime),
    /// Holds the span.
    context: Context,
    outcome: Mutex<Outcome>,
}

/// What is known so far.
#[derive(Default)]
struct Outcome {
    status: Option<u16>,
    error: Option<String>,
    /// By answer.
    reasons: Vec<&'static str>,
    input_tokens: u64,
    cached_tokens: u64,
    output_tokens: u64,
    first_token: Option<Duration>,
}

impl RequestSpan {
    /// A request has arrived at this route; nothing is followed without a collector to tell.
    pub(crate) fn begin(signals: Option<&Arc<Signals>>, route: &'static str, request: &Request) -> Self {
        let Some(signals) = signals.filter(|_| is_followed(route)) else { return Self::default() };
        let (operation, arrived) = (operation(route), (Instant::now(), SystemTime::now()));
        let context = signals.tracer.as_ref().map_or_else(Context::new, |tracer| {
            let method = method(request);
            let mut told = vec![
                KeyValue::new("http.request.method", method),
                KeyValue::new("http.route", route),
                KeyValue::new("url.scheme", "http"),
            ];
            let name = match operation {
                Some(operation) => format!("{operation} {}", signals.model),
                None => format!("{method} {route}"),
            };
            told.extend(operation.into_iter().flat_map(|operation| attributes(operation, &signals.model)));
            let headers = Headers(request.headers());
            let client = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
            let span = tracer.span_builder(name).with_kind(SpanKind::Server).with_start_time(arrived.1);
            Context::new().with_span(span.with_attributes(told).start_with_context(tracer, &client))
        });
        let (signals, outcome) = (signals.clone(), Mutex::default());
        Self(Some(Arc::new(Followed { signals, operation, arrived, context, outcome })))
    }

    /// What the client wants of the model. Texts are left out.
    pub(crate) fn asked(&self, request: &GenerateRequest, num_samples: usize) {
        let Some(followed) = &self.0 else { return };
        let sampling = &request.sampling;
        let int = |value: Option<usize>| value.and_then(|value| i64::try_from(value).ok()).map(Value::from);
        let double = |value: Option<f32>| value.map(|value| Value::from(decimal(value)));
        let seed = sampling.seed.and_then(|seed| i64::try_from(seed).ok()).map(Value::from);
        let told = [
            ("gen_ai.request.max_tokens", int(request.max_tokens)),
            ("gen_ai.request.temperature", double(Some(sampling.temperature))),
            ("gen_ai.request.top_p", double(sampling.top_p)),
            ("gen_ai.request.top_k", int(sampling.top_k)),
            ("gen_ai.request.seed", seed),
            ("gen_ai.request.frequency_penalty", double(Some(sampling.penalties.frequency))),
            ("gen_ai.request.presence_penalty", double(Some(sampling.penalties.presence))),
            ("gen_ai.request.choice.count", int(Some(num_samples).filter(|&num| num != 1))),
        ];
        let told = told.into_iter().filter_map(|(name, value)| Some(KeyValue::new(name, value?)));
        followed.context.span().set_attributes(told);
    }

    /// The engine has begun so many answers.
    pub(crate) fn expect(&self, num_answers: usize) {
        if let Some(followed) = &self.0 {
            // Unless they end otherwise.
            followed.outcome().reasons = vec!["abort"; num_answers];
        }
    }

    /// The first token of one of the answers, so long after the request's arrival.
    pub(crate) fn first_token(&self, after: Duration) {
        let Some(followed) = &self.0 else { return };
        let mut outcome = followed.outcome();
        if outcome.first_token.is_none() {
            outcome.first_token = Some(after);
            followed.record(|instruments, of| instruments.first_token.record(after.as_secs_f64(), of));
        }
    }

    /// An answer has ended. The first of a prompt counts the prompt.
    pub(crate) fn finished(&self, answer_idx: usize, finished: &Finished, is_first: bool) {
        let Some(followed) = &self.0 else { return };
        let Finished { reason, usage, timings, .. } = finished;
        let mut outcome = followed.outcome();
        if let Some(place) = outcome.reasons.get_mut(answer_idx) {
            *place = reason_name(reason);
        }
        if is_first {
            outcome.input_tokens += usage.prompt_tokens as u64;
            outcome.cached_tokens += usage.cached_tokens as u64;
        }
        outcome.output_tokens += usage.completion_tokens as u64;
        if usage.completion_tokens > 1 {
            let decode = timings.total.saturating_sub(timings.time_to_first_token).as_secs_f64();
            let each = decode / (usage.completion_tokens - 1) as f64;
            followed.record(|instruments, of| instruments.per_token.record(each, of));
        }
        if let Some(tracer) = &followed.signals.tracer
            && followed.context.span().is_recording()
        {
            let phases = Phases::new(followed.arrived.1, SystemTime::now(), timings);
            phases.tell(tracer, &followed.context, (answer_idx, !is_first));
            if answer_idx == 0 {
                let queued = KeyValue::new("llama.queue_seconds", phases.queued().as_secs_f64());
                followed.context.span().set_attribute(queued);
            }
        }
    }

    /// An answer has ended in an error.
    pub(crate) fn failed(&self, answer_idx: usize, error: &str) {
        let Some(followed) = &self.0 else { return };
        let mut outcome = followed.outcome();
        if let Some(place) = outcome.reasons.get_mut(answer_idx) {
            *place = "error";
        }
        outcome.error.get_or_insert_with(|| error.to_owned());
    }

    /// Texts have become vectors of this length.
    pub(crate) fn embedded(&self, num_tokens: usize, dimensions: usize) {
        let Some(followed) = &self.0 else { return };
        followed.outcome().input_tokens = num_tokens as u64;
        let dimensions = KeyValue::new("gen_ai.embeddings.dimension.count", dimensions as i64);
        followed.context.span().set_attribute(dimensions);
    }

    /// What HTTP says of it, before the first answer is through; `error` is the word that the client gets.
    pub(crate) fn answered(&self, status: u16, error: Option<&str>) {
        let Some(followed) = &self.0 else { return };
        let mut outcome = followed.outcome();
        outcome.status = Some(status);
        if status >= 400 && outcome.error.as_deref().is_none_or(|error| error == LEFT) {
            outcome.error = Some(error.map_or_else(|| status.to_string(), str::to_owned));
        }
    }

    /// The client has gone before the end.
    pub(crate) fn left(&self) {
        if let Some(followed) = &self.0 {
            followed.outcome().error.get_or_insert_with(|| LEFT.to_owned());
        }
    }
}

/// Of a request whose client did not wait for the end.
const LEFT: &str = "client_left";

impl Followed {
    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        // Every method leaves it whole.
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to histograms, if they are sent and something was asked of the model.
    fn record(&self, add: impl FnOnce(&super::instruments::Instruments, &[KeyValue])) {
        if let (Some(instruments), Some(operation)) = (&self.signals.instruments, self.operation) {
            add(instruments, &attributes(operation, &self.signals.model));
        }
    }

    fn record_end(&self, outcome: &Outcome) {
        self.record(|instruments, of| {
            let took = self.arrived.0.elapsed().as_secs_f64();
            let error = outcome.error.clone().map(|error| KeyValue::new("error.type", error));
            instruments.duration.record(took, &[of, error.as_slice()].concat());
            let kinds = [("input", outcome.input_tokens), ("output", outcome.output_tokens)];
            for (kind, num_tokens) in kinds.into_iter().filter(|(_, num_tokens)| *num_tokens > 0) {
                let kind = KeyValue::new("gen_ai.token.type", kind);
                instruments.tokens.record(num_tokens, &[of, &[kind]].concat());
            }
        });
    }

    fn end_span(&self, outcome: &Outcome) {
        let span = self.context.span();
        if !span.is_recording() {
            return;
        }
        if self.operation.is_some() {
            span.set_attributes([
                KeyValue::new("gen_ai.usage.input_tokens", outcome.input_tokens as i64),
                KeyValue::new("gen_ai.usage.cache_read.input_tokens", outcome.cached_tokens as i64),
                KeyValue::new("gen_ai.usage.output_tokens", outcome.output_tokens as i64),
            ]);
        }
        if !outcome.reasons.is_empty() {
            let reasons = outcome.reasons.iter().map(|reason| StringValue::from(*reason)).collect();
            let reasons = Value::Array(Array::String(reasons));
            span.set_attribute(KeyValue::new("gen_ai.response.finish_reasons", reasons));
        }
        if let Some(after) = outcome.first_token {
            span.set_attribute(KeyValue::new("llama.time_to_first_token_seconds", after.as_secs_f64()));
        }
        if let Some(status) = outcome.status {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        if let Some(error) = &outcome.error {
            span.set_attribute(KeyValue::new("error.type", error.clone()));
            // What a client did wrong, or did not wait for, is no error of the server.
            let is_refused = outcome.status.is_some_and(|status| (400..500).contains(&status));
            if !is_refused && error != LEFT {
                span.set_status(Status::error(error.clone()));
            }
        }
        span.end();
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let mut outcome = std::mem::take(&mut *self.outcome());
        if outcome.status.is_none() {
            // Nothing was answered, so nobody was there.
            outcome.error.get_or_insert_with(|| LEFT.to_owned());
        }
        self.record_end(&outcome);
        self.end_span(&outcome);
    }
}

impl fmt::Debug for RequestSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSpan").finish_non_exhaustive()
    }
}

/// The client's headers, in which its place in a trace stands.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

/// Whether a route is worth a span: not those that only look, every few seconds.
fn is_followed(route: &str) -> bool {
    route.starts_with("/v1/") || route.ends_with("tokenize")
}

fn operation(route: &str) -> Option<&'static str> {
    match route {
        "/v1/chat/completions" => Some("chat"),
        "/v1/completions" => Some("text_completion"),
        "/v1/embeddings" => Some("embeddings"),
        _ => None,
    }
}

/// The method; clients may invent others.
fn method(request: &Request) -> &'static str {
    ["GET", "POST", "DELETE"].into_iter().find(|known| request.method() == *known).unwrap_or("_OTHER")
}

fn reason_name(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::EndOfText | FinishReason::Stop(_) | FinishReason::StopToken(_) => "stop",
        FinishReason::MaxTokens => "length",
        FinishReason::Interrupted => "interrupted",
        FinishReason::Deadline => "deadline",
    }
}

/// As it was written: 0.7 shall not become 0.699999988.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}
