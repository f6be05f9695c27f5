//! The figures of the view.

use llama_server::metrics::Window;

/// What a server did in a window of time, and its state at the end. Absent is what it does not show; NaN, what there was nothing of.
pub(crate) struct Figures {
    pub(crate) model: String,
    pub(crate) elapsed_s: f64,
    /// Median, and what 95 of 100 stay below.
    pub(crate) first_token_s: [Option<f64>; 2],
    pub(crate) tokens_per_s: Option<f64>,
    pub(crate) prompt_tokens_per_s: Option<f64>,
    pub(crate) watts: Option<f64>,
    pub(crate) joules_per_token: Option<f64>,
    pub(crate) hit_rate: Option<f64>,
    /// Sequences that run, and that wait.
    pub(crate) sequences: [Option<f64>; 2],
    /// Blocks that are held, and all.
    pub(crate) blocks: [Option<f64>; 2],
    pub(crate) block_share: Option<f64>,
    /// Of the tokens drafted.
    pub(crate) accepted: Option<f64>,
}

impl Figures {
    pub(crate) fn of(window: &Window<'_>) -> Self {
        let now = |name| window.later.sum(name, &[]);
        let rate = |name| window.rate(name, &[]);
        let ratio = |part: Option<f64>, whole: Option<f64>| Some(part? / whole?);
        let share = |part, whole| ratio(window.increase(part, &[]), window.increase(whole, &[]));
        let decoding = window.increase("llama_attributed_energy_millijoules_total", &[("phase", "decode")]);
        let generated = "vllm:generation_tokens_total";
        let first_token = |share| window.quantile("vllm:time_to_first_token_seconds", share);
        Self {
            model: window.later.label("model_name").unwrap_or("a model").to_owned(),
            elapsed_s: window.elapsed.as_secs_f64(),
            first_token_s: [first_token(0.5), first_token(0.95)],
            tokens_per_s: rate(generated),
            prompt_tokens_per_s: rate("vllm:prompt_tokens_total"),
            watts: now("llama_power_watts"),
            joules_per_token: ratio(decoding, window.increase(generated, &[]))
                .map(|millijoules| millijoules / 1e3),
            hit_rate: share("vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"),
            sequences: ["vllm:num_requests_running", "vllm:num_requests_waiting"].map(now),
            blocks: [window.later.sum("llama_kv_blocks", &[("state", "used")]), now("llama_kv_blocks")],
            block_share: now("vllm:kv_cache_usage_perc"),
            accepted: share(
                "vllm:spec_decode_num_accepted_tokens_total",
                "vllm:spec_decode_num_draft_tokens_total",
            ),
        }
    }
}
