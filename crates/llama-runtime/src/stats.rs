//! What an engine is busy with: for tests that look for leaks, and for dashboards.

use llama_kv::PoolStats;

/// A moment of [`crate::CandleEngine`], between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineStats {
    /// How the cache's blocks are used.
    pub cache: PoolStats,
    /// Sequences that hold blocks because they run.
    pub num_running: usize,
    /// Sequences that wait for their first step, or, after a preemption, for their next one.
    pub num_waiting: usize,
    /// Requests that count towards [`crate::EngineOptions::max_waiting`].
    pub num_queued: usize,
    /// Pinned contexts, those of finished generations among them.
    pub num_pins: usize,
    /// How often a sequence lost its blocks and was computed again, since the engine was loaded.
    pub num_preemptions: u64,
}
