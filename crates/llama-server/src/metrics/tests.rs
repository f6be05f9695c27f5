//! What is shown after requests have been answered, and that documents name nothing else.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, header},
};
use llama_runtime::{CandleEngine, EngineOptions};
use tower::ServiceExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::{ServerConfig, routes, state::App};

const GRAFANA: &str = include_str!("../../grafana/llama-server.json");
const README: &str = include_str!("../../README.md");

/// A line of Prometheus' text: name, labels and value.
fn samples(text: &str) -> impl Iterator<Item = (&str, &str, f64)> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let (series, value) = line.rsplit_once(' ').expect("a series has a value");
        let (name, labels) = series.split_once('{').expect("a series has labels");
        (name, labels.trim_end_matches('}'), value.parse().expect("a value is a number"))
    })
}

/// The sum over all series of a name whose labels contain a text.
fn sum(text: &str, name: &str, label: &str) -> f64 {
    let mut found =
        samples(text).filter(|(other, labels, _)| *other == name && labels.contains(label)).peekable();
    assert!(found.peek().is_some(), "no {name} with {label:?} in:\n{text}");
    found.map(|(.., value)| value).sum()
}

struct Served {
    router: Router,
    metrics: Metrics,
}

impl Served {
    async fn start(events: &EngineEvents) -> Self {
        let bard = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard");
        let engine = CandleEngine::load(bard, EngineOptions::default()).await.expect("bard loads");
        let app = App::new(engine, ServerConfig::default());
        let metrics = app.metrics.clone();
        events.feed(&metrics);
        Self { router: routes::of(app), metrics }
    }

    /// The body of the answer.
    async fn ask(&self, path: &str, body: &str) -> String {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let request =
            Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::from(body.to_owned())).expect("a request"))
            .await
            .expect("the router answers");
        String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.expect("a whole body").to_vec())
            .expect("text")
    }
}

#[tokio::test]
async fn what_was_answered_is_shown() {
    let events = EngineEvents::default();
    let subscriber = tracing_subscriber::registry().with(events.layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let served = Served::start(&events).await;
    let complete =
        |options: &str| format!("{{\"prompt\": \"HAMLET. To be, or not to be: that is\", {options}}}");
    let path = "/v1/completions";
    served.ask(path, &complete("\"max_tokens\": 9, \"ignore_eos\": true")).await;
    served.ask(path, &complete("\"max_tokens\": 7, \"ignore_eos\": true, \"n\": 2, \"stream\": true")).await;
    served.ask(path, &complete("\"max_tokens\": 5, \"temperature\": 0, \"stop\": \" \"")).await;
    served.ask(path, &complete("\"max_tokens\": 4, \"grammar\": \"root ::= [ab] [cd]\"")).await;
    served.ask(path, "{\"prompt\": 7.5}").await;
    served.ask("/v1/embeddings", "{\"input\": [\"the king\", \"a horse\"]}").await;
    served.ask("/no/such/path", "").await;
    // The last step's events follow its answer.
    while sum(&served.metrics.render(), "vllm:num_requests_running", "") > 0.0 {
        tokio::task::yield_now().await;
    }
    let text = served.ask("/metrics", "").await;
    let shows = |name, label, value| assert_eq!(sum(&text, name, label), value, "{name} {label} in:\n{text}");
    shows("vllm:time_to_first_token_seconds_count", "model_name=\"bard\"", 5.0);
    shows("vllm:request_success_total", "finished_reason=\"length\"", 3.0);
    shows("vllm:request_success_total", "finished_reason=\"stop\"", 2.0);
    shows("vllm:request_success_total", "finished_reason=\"abort\"", 0.0);
    let num_tokens = sum(&text, "vllm:generation_tokens_total", "");
    assert!((25.0..=30.0).contains(&num_tokens), "{num_tokens} tokens");
    shows("vllm:request_generation_tokens_sum", "", num_tokens);
    shows("vllm:inter_token_latency_seconds_count", "", num_tokens - 5.0);
    shows("vllm:e2e_request_latency_seconds_count", "", 5.0);
    shows("vllm:request_prompt_tokens_count", "", 4.0);
    assert!(sum(&text, "vllm:prompt_tokens_cached_total", "") > 0.0, "the same prompt four times:\n{text}");
    let (hits, queries) =
        (sum(&text, "vllm:prefix_cache_hits_total", ""), sum(&text, "vllm:prefix_cache_queries_total", ""));
    assert!(hits > 0.0 && hits < queries, "{hits} of {queries}");
    shows("vllm:num_requests_waiting", "", 0.0);
    shows("vllm:kv_cache_usage_perc", "", 0.0);
    assert!(sum(&text, "llama_kv_blocks", "state=\"cached\"") > 0.0);
    assert!(sum(&text, "vllm:iteration_tokens_total_sum", "") > num_tokens);
    assert!(sum(&text, "llama_grammar_mask_seconds_count", "") > 0.0);
    shows("llama_embed_texts_total", "", 2.0);
    shows("llama_http_requests_total", "route=\"/v1/completions\",status=\"200\"", 4.0);
    shows("llama_http_requests_total", "route=\"other\",status=\"404\"", 1.0);
    shows("llama_requests_in_flight", "route=\"generate\"", 0.0);
    for (name, labels, _) in samples(&text) {
        assert!(is_shown(name), "{name} is not in the catalog");
        assert!(labels.contains("model_name=\"bard\""), "{name}{{{labels}}}");
    }
    let has_sensor = samples(&text).any(|(name, ..)| name == "llama_power_watts");
    assert_eq!(has_sensor, text.contains("llama_energy_millijoules_total"));
}

#[tokio::test]
async fn a_client_that_leaves_is_counted() {
    let served = Served::start(&EngineEvents::default()).await;
    let body = "{\"prompt\": \"x\", \"max_tokens\": 400, \"ignore_eos\": true, \"stream\": true}";
    let request = Request::post("/v1/completions").header(header::CONTENT_TYPE, "application/json");
    let response = served.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    drop(response);
    let text = served.metrics.render();
    assert_eq!(sum(&text, "vllm:request_success_total", "finished_reason=\"abort\""), 1.0, "{text}");
    assert!(
        !text.contains("vllm:kv_cache_usage_perc"),
        "no engine reports here, so nothing is shown:\n{text}"
    );
}

/// Whether a series of this name can come from a server.
fn is_shown(name: &str) -> bool {
    ALL.iter().any(|metric| match metric.kind {
        Kind::Counter | Kind::Gauge => metric.name == name,
        Kind::Histogram(_) => {
            name.strip_prefix(metric.name).is_some_and(|part| ["_bucket", "_sum", "_count"].contains(&part))
        }
    })
}

/// Words that look like names of metrics.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words.filter(|word| word.starts_with("vllm:") || word.starts_with("llama_"))
}

#[test]
fn the_dashboard_asks_for_nothing_that_no_server_shows() {
    serde_json::from_str::<serde_json::Value>(GRAFANA).unwrap();
    assert!(names(GRAFANA).count() > 30);
    for name in names(GRAFANA) {
        assert!(is_shown(name), "{name}");
    }
}

#[test]
fn the_readme_lists_every_metric() {
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let listed: Vec<&str> = rows
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("vllm:") || name.starts_with("llama_"))
        .collect();
    let shown: Vec<&str> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(listed, shown, "in the order of the catalog");
}
