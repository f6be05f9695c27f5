//! What is measured of each request, whatever engine answers it.

use std::time::{Duration, Instant};

use llama_engine::{Embeddings, Event, FinishReason, Finished, GenerateRequest, MAX_DRAFT_LEN};
use metrics::{Counter, Gauge, Histogram};

use super::{Metrics, RequestSpan, catalog, registry::Registry};

const POSITIONS: [&str; MAX_DRAFT_LEN] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"];

/// Follows one request from its arrival to its end; dropped early if the client leaves. What it sees goes to the registry and to the request's
/// span.
pub(crate) struct RequestObserver {
    metrics: Metrics,
    span: RequestSpan,
    in_flight: Gauge,
    arrived: Instant,
    answers: Vec<AnswerState>,
    num_samples: usize,
}

#[derive(Clone, Copy, Default)]
struct AnswerState {
    last_token: Option<Instant>,
    has_ended: bool,
}

impl RequestObserver {
    /// A request to this route has arrived.
    pub(crate) fn begin(metrics: &Metrics, route: &'static str, span: RequestSpan) -> Self {
        let in_flight = metrics.inner.registry.gauge(&catalog::REQUESTS_IN_FLIGHT, &[route]);
        in_flight.increment(1.0);
        let (metrics, arrived) = (metrics.clone(), Instant::now());
        Self { metrics, span, in_flight, arrived, answers: Vec::new(), num_samples: 1 }
    }

    /// It wants so many samples of this.
    pub(crate) fn asked(&self, request: &GenerateRequest, num_samples: usize) {
        self.span.asked(request, num_samples);
    }

    /// The engine has begun so many answers, `num_samples` to each prompt.
    pub(crate) fn expect(&mut self, num_answers: usize, num_samples: usize) {
        self.answers = vec![AnswerState::default(); num_answers];
        self.num_samples = num_samples.max(1);
        self.span.expect(num_answers);
    }

    /// The engine says something on one of its answers.
    pub(crate) fn event(&mut self, answer_idx: usize, event: &Event) {
        let Some(answer) = self.answers.get_mut(answer_idx) else { return };
        let requests = &self.metrics.inner.requests;
        match event {
            Event::Token(_) => {
                let now = Instant::now();
                match answer.last_token.replace(now) {
                    None => {
                        requests.first_token.record(now - self.arrived);
                        self.span.first_token(now - self.arrived);
                    }
                    Some(last) => {
                        requests.inter_token.record(now - last);
                        requests.per_token.record(now - last);
                    }
                }
                requests.generation_tokens.increment(1);
            }
            Event::Finished(finished) => {
                answer.has_ended = true;
                let is_first = answer_idx.is_multiple_of(self.num_samples);
                requests.finish(finished, self.arrived.elapsed(), is_first);
                self.span.finished(answer_idx, finished, is_first);
            }
            Event::Prompt(_) | Event::Citation(_) => {}
        }
        self.metrics.inner.registry.note();
    }

    /// One of its answers has ended in an error, for which the client gets this word.
    pub(crate) fn fail(&mut self, answer_idx: usize, error: &str) {
        if let Some(answer) = self.answers.get_mut(answer_idx) {
            answer.has_ended = true;
            self.metrics.inner.requests.ended.error.increment(1);
            self.span.failed(answer_idx, error);
        }
    }

    /// Texts have become vectors.
    pub(crate) fn embedded(&self, embeddings: &Embeddings) {
        let dimensions = embeddings.vectors.first().map_or(0, Vec::len);
        self.span.embedded(embeddings.usage.prompt_tokens, dimensions);
    }
}

impl Drop for RequestObserver {
    fn drop(&mut self) {
        self.in_flight.decrement(1.0);
        let num_left = self.answers.iter().filter(|answer| !answer.has_ended).count();
        self.metrics.inner.requests.ended.abort.increment(num_left as u64);
        if num_left > 0 {
            self.span.left();
        }
    }
}

/// Metrics of requests, at hand.
#[derive(Debug)]
pub(super) struct RequestHandles {
    first_token: Histogram,
    inter_token: Histogram,
    per_token: Histogram,
    generation_tokens: Counter,
    ended: Ends,
    times: Times,
    tokens: Tokens,
    speculation: Speculation,
}

#[derive(Debug)]
struct Ends {
    stop: Counter,
    length: Counter,
    abort: Counter,
    error: Counter,
}

#[derive(Debug)]
struct Times {
    total: Histogram,
    queue: Histogram,
    inference: Histogram,
    prefill: Histogram,
    decode: Histogram,
    per_token: Histogram,
}

#[derive(Debug)]
struct Tokens {
    of_prompt: Histogram,
    of_answer: Histogram,
    prompts: Counter,
    cached: Counter,
    forced: Counter,
}

#[derive(Debug)]
struct Speculation {
    drafts: Counter,
    drafted: Counter,
    accepted: Counter,
    by_position: [Counter; MAX_DRAFT_LEN],
}

impl RequestHandles {
    pub(super) fn new(registry: &Registry) -> Self {
        let histogram = |metric| registry.histogram(metric, &[]);
        let counter = |metric| registry.counter(metric, &[]);
        let ended = |reason| registry.counter(&catalog::REQUEST_SUCCESS, &[reason]);
        Self {
            first_token: histogram(&catalog::TIME_TO_FIRST_TOKEN),
            inter_token: histogram(&catalog::INTER_TOKEN_LATENCY),
            per_token: histogram(&catalog::TIME_PER_OUTPUT_TOKEN),
            generation_tokens: counter(&catalog::GENERATION_TOKENS),
            ended: Ends {
                stop: ended("stop"),
                length: ended("length"),
                abort: ended("abort"),
                error: ended("error"),
            },
            times: Times {
                total: histogram(&catalog::E2E_REQUEST_LATENCY),
                queue: histogram(&catalog::REQUEST_QUEUE_TIME),
                inference: histogram(&catalog::REQUEST_INFERENCE_TIME),
                prefill: histogram(&catalog::REQUEST_PREFILL_TIME),
                decode: histogram(&catalog::REQUEST_DECODE_TIME),
                per_token: histogram(&catalog::REQUEST_TIME_PER_OUTPUT_TOKEN),
            },
            tokens: Tokens {
                of_prompt: histogram(&catalog::REQUEST_PROMPT_TOKENS),
                of_answer: histogram(&catalog::REQUEST_GENERATION_TOKENS),
                prompts: counter(&catalog::PROMPT_TOKENS),
                cached: counter(&catalog::PROMPT_TOKENS_CACHED),
                forced: counter(&catalog::FORCED_TOKENS),
            },
            speculation: Speculation {
                drafts: counter(&catalog::SPEC_DRAFTS),
                drafted: counter(&catalog::SPEC_DRAFT_TOKENS),
                accepted: counter(&catalog::SPEC_ACCEPTED_TOKENS),
                by_position: POSITIONS
                    .map(|position| registry.counter(&catalog::SPEC_ACCEPTED_PER_POSITION, &[position])),
            },
        }
    }

    /// Counts an answer that has ended. The first of a prompt counts the prompt.
    fn finish(&self, finished: &Finished, total: Duration, is_first: bool) {
        let Finished { reason, usage, timings, .. } = finished;
        let ended = match reason {
            FinishReason::EndOfText | FinishReason::Stop(_) | FinishReason::StopToken(_) => &self.ended.stop,
            FinishReason::MaxTokens => &self.ended.length,
            FinishReason::Interrupted | FinishReason::Deadline => &self.ended.abort,
        };
        ended.increment(1);
        let decode = timings.total.saturating_sub(timings.time_to_first_token);
        self.times.total.record(total);
        self.times.queue.record(timings.queued);
        self.times.inference.record(timings.total.saturating_sub(timings.queued));
        self.times.prefill.record(timings.time_to_first_token.saturating_sub(timings.queued));
        self.times.decode.record(decode);
        if usage.completion_tokens > 1 {
            self.times.per_token.record(decode / (usage.completion_tokens - 1) as u32);
        }
        self.tokens.of_answer.record(usage.completion_tokens as f64);
        self.tokens.forced.increment(usage.forced_tokens as u64);
        if is_first {
            self.tokens.of_prompt.record(usage.prompt_tokens as f64);
            self.tokens.prompts.increment(usage.prompt_tokens as u64);
            self.tokens.cached.increment(usage.cached_tokens as u64);
        }
        self.speculation.drafts.increment(usage.speculation.num_drafts as u64);
        self.speculation.drafted.increment(usage.speculation.drafted_tokens as u64);
        self.speculation.accepted.increment(usage.speculation.accepted_tokens as u64);
        for (counter, place) in self.speculation.by_position.iter().zip(&usage.speculation.by_place) {
            counter.increment(u64::from(place.accepted));
        }
    }
}
