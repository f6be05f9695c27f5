//! What the tests of the engine share.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::PathBuf;

use futures::executor::block_on;
use llama_runtime::{CandleEngine, EngineOptions};

/// The directory of the small model in the repository.
pub(crate) fn bard_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard")
}

/// The small model.
pub(crate) fn bard(options: EngineOptions) -> CandleEngine {
    block_on(CandleEngine::load(bard_dir(), options)).expect("bard is in the repository")
}
