//! Every metric: its name, its kind and what it means.

/// What Prometheus makes of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Values, counted in buckets up to these bounds.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// With its unit.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels besides `model_name`.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

// vLLM's buckets.
const FIRST_TOKEN: Kind = Kind::Histogram(&[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
    80.0, 160.0, 640.0, 2560.0,
]);
/// vLLM's, and finer ones below its first: small models need them.
const TOKEN: Kind = Kind::Histogram(&[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
    10.0, 20.0, 40.0, 80.0,
]);
/// vLLM's, and finer ones below its first.
const REQUEST: Kind = Kind::Histogram(&[
    0.01, 0.03, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0,
    240.0, 480.0, 960.0, 1920.0, 7680.0,
]);
const REQUEST_TOKENS: Kind = Kind::Histogram(&[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5,
]);
const STEP_TOKENS: Kind = Kind::Histogram(&[
    1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0,
]);
const MASK: Kind = Kind::Histogram(&[1e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 0.1]);

macro_rules! catalog {
    ($($constant:ident: $name:literal, $kind:expr, $labels:expr, $help:literal;)*) => {
        $(pub(super) const $constant: Metric = Metric { name: $name, kind: $kind, labels: &$labels, help: $help };)*

        /// Every metric that a server can show.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

use Kind::{Counter, Gauge};

catalog! {
    TIME_TO_FIRST_TOKEN: "vllm:time_to_first_token_seconds", FIRST_TOKEN, [], "From a request's arrival to each answer's first token.";
    INTER_TOKEN_LATENCY: "vllm:inter_token_latency_seconds", TOKEN, [], "Between two tokens of an answer.";
    TIME_PER_OUTPUT_TOKEN: "vllm:time_per_output_token_seconds", TOKEN, [], "As vllm:inter_token_latency_seconds, under its older name.";
    REQUEST_TIME_PER_OUTPUT_TOKEN: "vllm:request_time_per_output_token_seconds", TOKEN, [], "Time after the first token by tokens after it, of each answer.";
    E2E_REQUEST_LATENCY: "vllm:e2e_request_latency_seconds", REQUEST, [], "From a request's arrival to each answer's end.";
    REQUEST_QUEUE_TIME: "vllm:request_queue_time_seconds", REQUEST, [], "In the engine, before the first step.";
    REQUEST_INFERENCE_TIME: "vllm:request_inference_time_seconds", REQUEST, [], "From the first step to the end.";
    REQUEST_PREFILL_TIME: "vllm:request_prefill_time_seconds", REQUEST, [], "From the first step to the first token.";
    REQUEST_DECODE_TIME: "vllm:request_decode_time_seconds", REQUEST, [], "From the first token to the end.";
    REQUEST_PROMPT_TOKENS: "vllm:request_prompt_tokens", REQUEST_TOKENS, [], "Tokens of each prompt.";
    REQUEST_GENERATION_TOKENS: "vllm:request_generation_tokens", REQUEST_TOKENS, [], "Tokens of each answer.";
    REQUEST_SUCCESS: "vllm:request_success_total", Counter, ["finished_reason"], "Answers that ended: stop, length, abort (by the client or a deadline) or error.";
    PROMPT_TOKENS: "vllm:prompt_tokens_total", Counter, [], "Tokens of prompts, counted when their first answer ends.";
    PROMPT_TOKENS_CACHED: "vllm:prompt_tokens_cached_total", Counter, [], "Those of them that did not have to be computed.";
    GENERATION_TOKENS: "vllm:generation_tokens_total", Counter, [], "Tokens of answers, counted as they come.";
    SPEC_DRAFTS: "vllm:spec_decode_num_drafts_total", Counter, [], "Drafts that were verified.";
    SPEC_DRAFT_TOKENS: "vllm:spec_decode_num_draft_tokens_total", Counter, [], "Tokens drafted and verified.";
    SPEC_ACCEPTED_TOKENS: "vllm:spec_decode_num_accepted_tokens_total", Counter, [], "Those of them that became part of an answer.";
    SPEC_ACCEPTED_PER_POSITION: "vllm:spec_decode_num_accepted_tokens_per_pos_total", Counter, ["position"], "The same by place in the draft, from 0.";
    NUM_REQUESTS_RUNNING: "vllm:num_requests_running", Gauge, [], "Sequences that hold blocks of the cache.";
    NUM_REQUESTS_WAITING: "vllm:num_requests_waiting", Gauge, [], "Sequences that wait for a step.";
    KV_CACHE_USAGE: "vllm:kv_cache_usage_perc", Gauge, [], "Share of the cache's blocks that sequences or pins hold; 1 is all.";
    GPU_CACHE_USAGE: "vllm:gpu_cache_usage_perc", Gauge, [], "As vllm:kv_cache_usage_perc, under its older name.";
    PREFIX_CACHE_QUERIES: "vllm:prefix_cache_queries_total", Counter, [], "Tokens looked up in the prefix index.";
    PREFIX_CACHE_HITS: "vllm:prefix_cache_hits_total", Counter, [], "Those of them that were found.";
    NUM_PREEMPTIONS: "vllm:num_preemptions_total", Counter, [], "Sequences that lost their blocks and were computed again.";
    ITERATION_TOKENS: "vllm:iteration_tokens_total", STEP_TOKENS, [], "Tokens computed by each step.";
    HTTP_REQUESTS: "llama_http_requests_total", Counter, ["route", "status"], "Answers to HTTP requests, by route and status.";
    REQUESTS_IN_FLIGHT: "llama_requests_in_flight", Gauge, ["route"], "Requests that have arrived and not ended.";
    STEP_TIME: "llama_step_seconds", TOKEN, [], "Each step.";
    KV_BLOCKS: "llama_kv_blocks", Gauge, ["state"], "Blocks of the cache: used, cached or free.";
    KV_PINNED_BLOCKS: "llama_kv_pinned_blocks", Gauge, [], "Those of the used blocks that a pin holds.";
    KV_EVICTIONS: "llama_kv_evictions_total", Counter, [], "Cached blocks given up for new ones.";
    FORCED_TOKENS: "llama_forced_tokens_total", Counter, [], "Tokens that a grammar left no choice about, appended without a step.";
    GRAMMAR_MASK: "llama_grammar_mask_seconds", MASK, [], "Computing the mask of each token chosen under a grammar.";
    DRAFTER_FAILURES: "llama_drafter_failures_total", Counter, [], "Drafts that failed; their sequences went on without.";
    EMBED_TEXTS: "llama_embed_texts_total", Counter, [], "Texts embedded.";
    EMBED_TOKENS: "llama_embed_tokens_total", Counter, [], "Tokens of those texts.";
    EMBED_TIME: "llama_embed_seconds", REQUEST, [], "Each request to embed, in the engine.";
    EMBED_FAILURES: "llama_embed_failures_total", Counter, [], "Requests to embed that failed in the engine. Missing until one has.";
    POWER: "llama_power_watts", Gauge, ["source"], "Mean power of the device over the last 0.2 s. Missing without a sensor.";
    ENERGY: "llama_energy_millijoules_total", Counter, ["source"], "Energy of the device, at rest too. Missing without a sensor.";
    ENERGY_ATTRIBUTED: "llama_attributed_energy_millijoules_total", Counter, ["phase"], "Those of them that went into prefill, decode or embed. Missing without a sensor.";
}
