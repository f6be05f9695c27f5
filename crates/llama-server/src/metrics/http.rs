//! `/metrics` itself, and the count of what was answered to whom.

use axum::{
    extract::{MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use llama_engine::LlamaEngine;

use super::{Metrics, RequestSpan, catalog};
use crate::{error::ErrorWord, state::App};

/// Paths that are counted by name. What else is asked for counts as `other`: names must not grow with what clients try.
const ROUTES: [&str; 14] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/models",
    "/v1/models/{*id}",
    "/v1/contexts",
    "/v1/contexts/{id}",
    "/v1/answers/{id}/stop",
    "/tokenize",
    "/detokenize",
    "/health",
    "/health/ready",
    "/health/live",
    "/metrics",
];

/// Statuses that are counted apart; others count by their hundred.
const STATUSES: [(u16, &str); 12] = [
    (200, "200"),
    (400, "400"),
    (401, "401"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (500, "500"),
    (503, "503"),
];

/// `/metrics`: everything, as Prometheus reads it.
pub(crate) async fn show<E: LlamaEngine + 'static>(State(app): State<App<E>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render())
}

/// Counts answers by route and status, and follows requests where somebody listens.
pub(crate) async fn count(
    State(metrics): State<Metrics>,
    path: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = path.as_ref().map_or("", MatchedPath::as_str);
    let route = ROUTES.iter().find(|route| **route == path).copied().unwrap_or("other");
    let span = metrics.follow(route, &request);
    request.extensions_mut().insert::<RequestSpan>(span.clone());
    let response = next.run(request).await;
    let error = response.extensions().get().map(|ErrorWord(word)| word.as_str());
    span.answered(response.status().as_u16(), error);
    let counter =
        metrics.inner.registry.counter(&catalog::HTTP_REQUESTS, &[route, status(response.status())]);
    counter.increment(1);
    response
}

impl Metrics {
    #[cfg(feature = "otel")]
    fn follow(&self, route: &'static str, request: &Request) -> RequestSpan {
        RequestSpan::begin(self.inner.telemetry.signals.get(), route, request)
    }

    #[cfg(not(feature = "otel"))]
    fn follow(&self, _: &'static str, _: &Request) -> RequestSpan {
        RequestSpan
    }
}

fn status(status: StatusCode) -> &'static str {
    let known = STATUSES.iter().find(|(number, _)| *number == status.as_u16());
    known.map_or_else(
        || match status.as_u16() {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500.. => "5xx",
        },
        |(_, name)| name,
    )
}
