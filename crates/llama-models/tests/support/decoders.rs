//! Decoders to compare with themselves: the repository's model, and small random ones of the other families.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::{path::Path, sync::LazyLock};

use candle_core::Tensor;
use llama_backend::{Device, ops::Kernels};
use llama_kv::PagedCache;
use llama_models::{Batch, Checkpoint, Decoder, DecoderOptions, Output, Outputs, Span};
use serde_json::{Value, json};

use crate::support;

/// Each one's name and decoder, with our kernels.
pub(crate) static DECODERS: LazyLock<Vec<(&str, Decoder)>> = LazyLock::new(|| decoders(Kernels::Native));

/// Bard, mistral with a sliding window shorter than the sequences, qwen2 with biases, qwen3 with head norms.
pub(crate) fn decoders(kernels: Kernels) -> Vec<(&'static str, Decoder)> {
    let bard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
    let small = ["mistral", "qwen2", "qwen3"].map(|family| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        support::write_single(dir.path(), family);
        let mut config = support::config(family);
        if family == "mistral" {
            config["sliding_window"] = Value::from(8);
        }
        config["rope_theta"] = json!(500.0);
        support::write(dir.path(), "config.json", config.to_string().as_bytes());
        (family, open(dir.path(), kernels))
    });
    [("bard", open(&bard, kernels))].into_iter().chain(small).collect()
}

/// The maps stay valid when a file's directory entry goes.
fn open(dir: &Path, kernels: Kernels) -> Decoder {
    let checkpoint = Checkpoint::open(dir).expect("a valid checkpoint");
    let backend = Device::Cpu.backend().expect("there is always a CPU");
    let options = DecoderOptions { kernels, ..DecoderOptions::default() };
    Decoder::new(&checkpoint, &*backend, options).expect("a valid checkpoint")
}

/// An empty cache for a decoder.
pub(crate) fn cache(decoder: &Decoder, num_blocks: usize, block_len: usize) -> PagedCache {
    let cache = decoder.cache_config(num_blocks, block_len);
    let backend = Device::Cpu.backend().expect("there is always a CPU");
    PagedCache::new(cache, &*backend).expect("it is small")
}

/// One step.
pub(crate) fn forward(decoder: &Decoder, cache: &mut PagedCache, spans: Vec<Span>) -> Outputs {
    let batch = Batch::new(spans, cache.config().block_len).expect("a valid batch");
    decoder.forward(&batch, cache).expect("decoder, batch and cache fit together")
}

/// The obvious way: all tokens at once, alone, in one block.
pub(crate) fn whole(decoder: &Decoder, tokens: &[u32], output: Output) -> Vec<Vec<f32>> {
    let mut cache = cache(decoder, 1, tokens.len());
    let span = Span { tokens: tokens.to_vec(), first_position: 0, blocks: vec![0], output };
    rows(&forward(decoder, &mut cache, vec![span])[0])
}

/// The rows of a wanted output.
pub(crate) fn rows(output: &Option<Tensor>) -> Vec<Vec<f32>> {
    output.as_ref().map_or_else(Vec::new, |output| output.to_vec2().expect("outputs are f32 matrices"))
}
