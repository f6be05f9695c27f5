//! What is reported: each event is a function here, and a section of this page.
//!
#![doc = include_str!("events.md")]

use std::time::Duration;

use llama_backend::power::PowerSource;
use llama_engine::{EngineError, FinishReason, Timings, Usage};
use tracing::{Level, debug, info, warn};

use crate::{
    EngineStats,
    energy::{JoulesPerToken, PerPhase},
};

/// Tokens that a step has computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StepTokens {
    pub(crate) sequences: usize,
    pub(crate) prefill: usize,
    pub(crate) decode: usize,
    pub(crate) embed: usize,
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(crate) fn request_finished(
    reason: &FinishReason,
    usage: &Usage,
    timings: &Timings,
    energy: &JoulesPerToken,
) {
    info!(
        name: "request.finished",
        reason = reason_name(reason),
        prompt_tokens = usage.prompt_tokens,
        cached_tokens = usage.cached_tokens,
        completion_tokens = usage.completion_tokens,
        forced_tokens = usage.forced_tokens,
        drafted_tokens = usage.speculation.drafted_tokens,
        accepted_tokens = usage.speculation.accepted_tokens,
        saved_ms = usage.speculation.saved_us as f64 / 1e3,
        cache_hit_rate = usage.cached_tokens as f64 / usage.prompt_tokens.max(1) as f64,
        queue_ms = millis(timings.queued),
        ttft_ms = millis(timings.time_to_first_token),
        total_ms = millis(timings.total),
        tps = timings.decode_tokens_per_second(usage),
        prefill_joules_per_token = energy.prefill,
        decode_joules_per_token = energy.decode,
        "request finished"
    );
}

fn reason_name(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::EndOfText => "end_of_text",
        FinishReason::Stop(_) => "stop",
        FinishReason::StopToken(_) => "stop_token",
        FinishReason::MaxTokens => "max_tokens",
        FinishReason::Interrupted => "interrupted",
        FinishReason::Deadline => "deadline",
    }
}

pub(crate) fn request_failed(error: &EngineError) {
    warn!(name: "request.failed", %error, "request failed");
}

pub(crate) fn embed_finished(num_texts: usize, num_tokens: usize, took: Duration) {
    info!(name: "embed.finished", texts = num_texts, tokens = num_tokens, total_ms = millis(took), "texts embedded");
}

pub(crate) fn embed_failed(error: &EngineError) {
    warn!(name: "embed.failed", %error, "texts not embedded");
}

pub(crate) fn step_finished(tokens: &StepTokens, took: Duration) {
    debug!(
        name: "step.finished",
        sequences = tokens.sequences,
        prefill_tokens = tokens.prefill,
        decode_tokens = tokens.decode,
        embed_tokens = tokens.embed,
        step_ms = millis(took),
        "step finished"
    );
}

/// Whether anybody listens to what is only told for debugging.
pub(crate) fn debug_is_heard() -> bool {
    tracing::enabled!(Level::DEBUG)
}

pub(crate) fn kv_usage(stats: &EngineStats) {
    debug!(
        name: "kv.usage",
        total_blocks = stats.cache.total_blocks,
        used_blocks = stats.cache.used_blocks,
        cached_blocks = stats.cache.cached_blocks,
        pinned_blocks = stats.cache.pinned_blocks,
        free_blocks = stats.cache.free_blocks,
        queried_tokens = stats.cache.queried_tokens,
        hit_tokens = stats.cache.hit_tokens,
        evictions = stats.cache.evictions,
        preemptions = stats.num_preemptions,
        running = stats.num_running,
        waiting = stats.num_waiting,
        "cache usage"
    );
}

pub(crate) fn grammar_mask(took: Duration) {
    debug!(name: "grammar.mask", mask_us = took.as_secs_f64() * 1e6, "grammar mask");
}

pub(crate) fn speculation_step(drafted: usize, accepted: usize) {
    debug!(name: "speculation.step", drafted, accepted, "draft verified");
}

pub(crate) fn drafter_failed(drafter: &str, error: &dyn std::fmt::Display) {
    warn!(name: "speculation.failed", drafter, %error, "nothing drafted");
}

pub(crate) fn power_sample(source: PowerSource, (watts, joules): (f64, f64), attributed: PerPhase<f64>) {
    let [prefill_joules, decode_joules, embed_joules] = attributed;
    debug!(
        name: "power.sample",
        source = source.as_str(),
        watts,
        joules,
        prefill_joules,
        decode_joules,
        embed_joules,
        "power"
    );
}

pub(crate) fn power_unavailable(error: &dyn std::fmt::Display) {
    debug!(name: "power.sample", source = "unavailable", %error, "no power sensor");
}

#[cfg(test)]
mod tests;
