//! The `tracing` events of the runtime. Names and fields are stable; units are in the names.
//! `events.md` lists them.

use std::time::Duration;

use llama_engine::{EngineError, FinishReason, Timings, Usage};
use tracing::{debug, info, warn};

use crate::scheduler::Scheduler;

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(crate) fn request_finished(reason: &FinishReason, usage: &Usage, timings: &Timings) {
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

pub(crate) fn grammar_mask(took: Duration) {
    debug!(name: "grammar.mask", mask_us = took.as_secs_f64() * 1e6, "grammar mask");
}

pub(crate) fn speculation_step(drafted: usize, accepted: usize) {
    debug!(name: "speculation.step", drafted, accepted, "draft verified");
}

pub(crate) fn drafter_failed(drafter: &str, error: &dyn std::fmt::Display) {
    warn!(name: "speculation.failed", drafter, %error, "nothing drafted");
}

pub(crate) fn kv_usage(scheduler: &Scheduler) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let stats = scheduler.pool().stats();
    debug!(
        name: "kv.usage",
        total_blocks = stats.total_blocks,
        used_blocks = stats.used_blocks,
        cached_blocks = stats.cached_blocks,
        pinned_blocks = stats.pinned_blocks,
        free_blocks = stats.free_blocks,
        running = scheduler.num_running(),
        waiting = scheduler.num_waiting(),
        "cache usage"
    );
}
