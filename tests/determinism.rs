//! The determinism contract on whole models: however an answer is computed, tokens and log-probabilities are the same,
//! bit for bit, on the CPU.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};

use futures::{StreamExt, executor::block_on, future::join_all};
use llama_hub::{Cache, KnownModel};
use llama_rs::prelude::*;

type Bits = Vec<(u32, Vec<u32>)>;

const NUM_REQUESTS: u64 = 5;
const ANSWER_LEN: usize = 12;
/// Not a multiple of any block length below.
const SHARED_LEN: usize = 23;

fn load(path: &Path, options: EngineOptions) -> CandleEngine {
    block_on(CandleEngine::load(path, options)).unwrap()
}

/// A prompt of 26 to 54 tokens, of which all share the first 23.
fn prompt(seed: u64) -> Vec<u32> {
    (0..26 + 7 * seed)
        .map(|i| 100 + (i * 37 + if i < SHARED_LEN as u64 { 0 } else { seed * 11 }) as u32 % 800)
        .collect()
}

fn request(prompt: Vec<u32>, seed: u64) -> GenerateRequest {
    let sampling = Sampling { temperature: 0.7, top_p: Some(0.95), seed: Some(seed), ..Sampling::default() };
    GenerateRequest::new(Prompt::Tokens(prompt))
        .with_sampling(sampling)
        .with_max_tokens(ANSWER_LEN)
        .with_end(EndOfText::Ignored)
        .with_logprobs(4)
}

async fn listen(stream: TokenStream) -> Bits {
    let tokens = stream.filter_map(|event| async {
        let Event::Token(token) = event.unwrap() else { return None };
        Some((token.id, token.logprobs.unwrap().iter().map(|entry| entry.logprob.to_bits()).collect()))
    });
    tokens.collect().await
}

async fn bits(engine: &CandleEngine, request: GenerateRequest) -> Bits {
    listen(engine.generate(request).await.unwrap()).await
}

fn check(path: &Path) {
    let engine = load(path, EngineOptions::default());
    let seeds = 0..NUM_REQUESTS;
    // Each alone, computed in one piece: nothing has been cached that it could share.
    let alone: Vec<Bits> = seeds
        .clone()
        .map(|seed| block_on(bits(&load(path, EngineOptions::default()), request(prompt(seed), seed))))
        .collect();
    let together = |engine: &CandleEngine| {
        block_on(join_all(seeds.clone().map(|seed| bits(engine, request(prompt(seed), seed)))))
    };
    assert!(together(&engine) == alone, "batched = alone");
    assert!(together(&engine) == alone, "prefix hit = recomputed");
    let stats = block_on(engine.stats()).unwrap();
    assert!(stats.cache.hit_tokens > 0 && stats.num_preemptions == 0, "{stats:?}");

    // Small blocks, small chunks, and too few blocks: other physical blocks, other chunks, preemptions.
    let options = EngineOptions {
        max_step_tokens: 7,
        block_len: 5,
        cache_tokens: Some(75),
        ..EngineOptions::default()
    };
    let small = load(path, options);
    assert!(together(&small) == alone, "chunked and preempted = undisturbed");
    let stats = block_on(small.stats()).unwrap();
    assert!(stats.num_preemptions > 0, "{stats:?}");

    let context = block_on(engine.pin(Prompt::Tokens(prompt(0)[..SHARED_LEN].to_vec()))).unwrap();
    let rest = |seed: u64| request(prompt(seed)[SHARED_LEN..].to_vec(), seed).with_context(context.clone());
    let forked = block_on(join_all(seeds.clone().map(|seed| bits(&engine, rest(seed)))));
    assert!(forked == alone, "forked = independent");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("session");
    block_on(engine.save_context(&context, &file)).unwrap();
    let restored = block_on(small.restore_context(&file)).unwrap();
    let restored = request(prompt(3)[SHARED_LEN..].to_vec(), 3).with_context(restored);
    assert!(block_on(bits(&small, restored)) == alone[3], "restored from a file = computed");

    let samples = block_on(engine.generate_n(request(prompt(2), 1), 3)).unwrap();
    let samples = block_on(join_all(samples.into_iter().map(listen)));
    assert!(samples[1] == alone[2], "one of several samples = alone");
}

#[test]
fn bard_answers_the_same_however_it_is_run() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/bard"));
}

#[test]
fn smollm2_answers_the_same_however_it_is_run() {
    let known = KnownModel::find("smollm2").unwrap();
    let path: Option<PathBuf> = Cache::from_env().unwrap().find(known);
    check(&path.expect("cargo xtask test fetches it, or leaves this test out and says so"));
}
