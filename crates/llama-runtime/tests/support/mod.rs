//! What the tests of the engine share.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod events;
pub(crate) mod speculating;

use std::{
    path::PathBuf,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use futures::executor::block_on;
use llama_engine::{Completion, EndOfText, EngineError, GenerateRequest, LlamaEngine, Prompt};
use llama_runtime::{CandleEngine, EngineOptions, EngineStats};

/// The directory of the small model in the repository.
pub(crate) fn bard_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard")
}

/// The small model.
pub(crate) fn bard(options: EngineOptions) -> CandleEngine {
    block_on(CandleEngine::load(bard_dir(), options)).expect("bard is in the repository")
}

/// Runs a test on a thread of its own and fails if it hangs.
pub(crate) fn within(limit: Duration, test: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        // Nobody listens if the limit has passed.
        let _ = done.send(());
    });
    match finished.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => panic!("still running after {limit:?}"),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Checks that nothing is held: no block, no place in the queue, no pin.
pub(crate) fn check_idle(engine: &CandleEngine) {
    let stats = block_on(engine.stats()).expect("the worker lives");
    let EngineStats { cache, num_running, num_waiting, num_queued, num_pins, .. } = stats;
    assert_eq!((num_running, num_waiting, num_queued, num_pins), (0, 0, 0, 0), "{stats:?}");
    assert_eq!((cache.used_blocks, cache.pinned_blocks, cache.wasted_slots), (0, 0, 0), "{stats:?}");
    assert_eq!(cache.free_blocks + cache.cached_blocks, cache.total_blocks, "{stats:?}");
}

/// A request for exactly `len` tokens.
pub(crate) fn exactly(len: usize, prompt: impl Into<Prompt>) -> GenerateRequest {
    GenerateRequest::new(prompt).with_max_tokens(len).with_end(EndOfText::Ignored)
}

/// Asks and waits for the whole answer.
pub(crate) fn ask(engine: &CandleEngine, request: GenerateRequest) -> Result<Completion, EngineError> {
    block_on(async { engine.generate(request).await?.collect().await })
}

/// Arbitrary tokens of bard's vocabulary, the same for the same seed.
pub(crate) fn tokens(seed: u64, len: usize) -> Vec<u32> {
    let mut random = Random(seed);
    (0..len).map(|_| 2 + random.below(1000) as u32).collect()
}

/// A small generator, the same everywhere (Steele et al., SplitMix64, OOPSLA 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % limit as u64) as usize
    }
}
