//! How an engine is set up.

use llama_backend::Device;
use llama_models::{DecoderOptions, Quantization};
use llama_sampling::GrammarLimits;

use crate::speculation::SpeculationOptions;

/// Options of [`crate::CandleEngine::load`]. The defaults suit a laptop.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineOptions {
    /// Where to compute.
    pub device: Device,
    /// How the model computes: precision of activations and cache, our kernels or the reference, and how quantised
    /// weights see their input.
    pub decoder: DecoderOptions,
    /// Quantise the matrices of a dense checkpoint while loading, in memory of this process; refused for a checkpoint
    /// that is quantised already. Absent, weights stay in the file as they are.
    pub quantize: Option<Quantization>,
    /// Most tokens of a sequence; the model's own limit if absent or larger.
    pub context_len: Option<usize>,
    /// Tokens that the cache holds for all sequences and pins together; four times the context, but at most 32,768
    /// beyond one context, if absent. Memory is only used for what was written.
    pub cache_tokens: Option<usize>,
    /// Tokens per cache block.
    pub block_len: usize,
    /// Most tokens of one step.
    pub max_step_tokens: usize,
    /// Most sequences that run at once.
    pub max_running: usize,
    /// Most requests that wait; further ones are refused.
    pub max_waiting: usize,
    /// How large a request's grammar may be, and how much work each of its tokens.
    pub grammar_limits: GrammarLimits,
    /// How tokens are drafted ahead; absent, each takes a step. A request can do without, see
    /// [`llama_engine::Speculation`].
    pub speculation: Option<SpeculationOptions>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            decoder: DecoderOptions::default(),
            quantize: None,
            context_len: None,
            cache_tokens: None,
            block_len: 16,
            max_step_tokens: 512,
            max_running: 64,
            max_waiting: 1024,
            grammar_limits: GrammarLimits::default(),
            speculation: None,
        }
    }
}

impl EngineOptions {
    /// The context in force for a model made for `model_len` tokens.
    pub(crate) fn context_len_for(&self, model_len: usize) -> usize {
        self.context_len.unwrap_or(model_len).min(model_len)
    }

    /// Blocks of the cache.
    pub(crate) fn num_blocks(&self, context_len: usize) -> usize {
        const MOST_BEYOND: usize = 32_768;
        let default = context_len + (3 * context_len).min(MOST_BEYOND);
        self.cache_tokens.unwrap_or(default).div_ceil(self.block_len)
    }
}
