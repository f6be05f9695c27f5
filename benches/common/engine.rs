//! An engine to be asked, and made-up prompts for it.

use std::path::{Path, PathBuf};

pub(crate) use futures::executor::block_on;
use llama_rs::prelude::*;

#[path = "mod.rs"]
mod common;

/// The models to measure: bard, and the default model in the formats that are there.
pub(crate) fn models() -> Vec<(String, PathBuf)> {
    common::models()
}

/// Loads a model for measuring.
pub(crate) fn load(path: &Path) -> anyhow::Result<CandleEngine> {
    Ok(block_on(CandleEngine::load(path, EngineOptions::default()))?)
}

/// Asks and waits for the whole answer.
#[allow(dead_code, reason = "each benchmark uses a part")]
pub(crate) fn ask(engine: &CandleEngine, request: GenerateRequest) -> Completion {
    let answer = async { engine.generate(request).await?.collect().await };
    block_on(answer).expect("the request is valid")
}

/// Arbitrary tokens that every model has, the same for the same seed.
pub(crate) fn tokens(seed: u64, len: usize) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        100 + (state >> 33) as u32 % 900
    };
    (0..len).map(|_| next()).collect()
}
