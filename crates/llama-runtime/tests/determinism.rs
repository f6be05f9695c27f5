//! What happens to a sequence on its way does not show in its answer: log-probabilities equal to the bit, on the CPU.

mod support;

use futures::{StreamExt, executor::block_on, future::join_all};
use llama_engine::{
    EmbedRequest, Event, GenerateRequest, LlamaEngine, Normalization, Pooling, Prompt, Sampling,
};
use llama_runtime::{CandleEngine, EngineOptions, EngineStats};
use support::{bard, check_idle, exactly, tokens};

/// All events' tokens and log-probabilities, as bits.
async fn bits(engine: &CandleEngine, request: GenerateRequest) -> Vec<(u32, Vec<(u32, u32)>)> {
    let stream = engine.generate(request.with_logprobs(3)).await.expect("a valid request");
    let events = stream.filter_map(|event| async move {
        let Event::Token(token) = event.expect("nothing fails here") else { return None };
        let logprobs = token.logprobs.expect("they were asked for");
        Some((token.id, logprobs.iter().map(|entry| (entry.id, entry.logprob.to_bits())).collect()))
    });
    events.collect().await
}

fn request(seed: u64, prompt_len: usize, len: usize) -> GenerateRequest {
    let sampling = Sampling { temperature: 0.8, seed: Some(seed), ..Sampling::default() };
    exactly(len, Prompt::Tokens(tokens(seed, prompt_len))).with_sampling(sampling)
}

/// Runs requests at once under `options`; checks each against its run on an engine of its own. Returns the stats.
fn check(requests: &[GenerateRequest], options: EngineOptions) -> EngineStats {
    let engine = bard(options);
    let together = block_on(join_all(requests.iter().map(|request| bits(&engine, request.clone()))));
    let alone = bard(EngineOptions { block_len: 1024, ..EngineOptions::default() });
    for (i, (request, together)) in requests.iter().zip(together).enumerate() {
        assert!(block_on(bits(&alone, request.clone())) == together, "request {i}");
    }
    check_idle(&engine);
    block_on(engine.stats()).expect("the worker lives")
}

#[test]
fn preemption_does_not_show() {
    let requests: Vec<_> = (0..6).map(|seed| request(seed, 20 + 3 * seed as usize, 40)).collect();
    let stats =
        check(&requests, EngineOptions { cache_tokens: Some(160), block_len: 4, ..EngineOptions::default() });
    assert!(stats.num_preemptions > 0, "{stats:?}");
}

#[test]
fn a_prefix_hit_does_not_show() {
    let engine = bard(EngineOptions::default());
    let first = block_on(bits(&engine, request(1, 50, 12)));
    let second = block_on(bits(&engine, request(1, 50, 12)));
    let stats = block_on(engine.stats()).expect("the worker lives");
    assert_eq!(stats.cache.hit_tokens, 48, "{stats:?}");
    assert!(first == second, "computed, and found in the cache");
}

#[test]
fn load_does_not_show() {
    let requests: Vec<_> = (0..20).map(|seed| request(seed % 4, 5 + 11 * (seed as usize % 4), 16)).collect();
    let options =
        EngineOptions { max_step_tokens: 9, max_running: 7, block_len: 5, ..EngineOptions::default() };
    check(&requests, options);
}

#[test]
fn preemption_does_not_show_in_embeddings() {
    let options = EngineOptions {
        cache_tokens: Some(64),
        block_len: 4,
        max_step_tokens: 3,
        ..EngineOptions::default()
    };
    let (engine, alone) = (bard(options), bard(EngineOptions::default()));
    let texts: Vec<String> =
        (0..6).map(|i| format!("{i}: the king doth wake to-night and takes his rouse ").repeat(2)).collect();
    for pooling in [Pooling::Mean, Pooling::WeightedMean, Pooling::Last] {
        let request = |texts: &[String]| EmbedRequest {
            pooling: Some(pooling),
            normalization: Normalization::None,
            ..EmbedRequest::new(texts.to_vec())
        };
        let generation = bits(&engine, exactly(55, "The"));
        let (_, together) = block_on(futures::future::join(generation, engine.embed(request(&texts))));
        let together = together.expect("they fit").vectors;
        for (text, vector) in texts.iter().zip(together) {
            let alone = block_on(alone.embed(request(std::slice::from_ref(text)))).expect("it fits").vectors;
            assert!(alone[0] == vector, "{text:?} with {pooling:?}");
        }
    }
    let stats = block_on(engine.stats()).expect("the worker lives");
    assert!(stats.num_preemptions > 0, "{stats:?}");
    check_idle(&engine);
}
