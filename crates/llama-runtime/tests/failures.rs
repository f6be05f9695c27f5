//! Weights that are broken, and panics where nobody expects them: whoever is affected hears of it, the others do not.

mod support;

use std::{error::Error, fs, sync::Once, time::Duration};

use futures::{executor::block_on, future::join_all};
use llama_engine::{EmbedRequest, EngineError, GenerateRequest, LlamaEngine, Prompt, Sampling};
use llama_runtime::{CandleEngine, EngineOptions};
use safetensors::{SafeTensors, tensor::TensorView};
use support::{
    ask, bard, bard_dir, check_idle,
    events::{Listener, Recorded},
    exactly, tokens, within,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Bard with a head of its own, after `break_rows` has been at the bytes of the embedding and of the head.
fn broken_bard(break_rows: impl FnOnce(&mut [u8], &mut [u8]), options: EngineOptions) -> CandleEngine {
    const EMBEDDING: &str = "model.embed_tokens.weight";
    let dir = tempfile::tempdir().expect("a temporary directory");
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(bard_dir().join(name), dir.path().join(name)).expect("bard is in the repository");
    }
    let config = fs::read_to_string(bard_dir().join("config.json")).expect("bard is in the repository");
    let mut config: serde_json::Value = serde_json::from_str(&config).expect("valid JSON");
    config["tie_word_embeddings"] = false.into();
    fs::write(dir.path().join("config.json"), config.to_string()).expect("the directory can be written");
    let bytes = fs::read(bard_dir().join("model.safetensors")).expect("bard is in the repository");
    let tensors = SafeTensors::deserialize(&bytes).expect("a valid file");
    let original = tensors.tensor(EMBEDDING).expect("bard has an embedding");
    let (mut embedding, mut head) = (original.data().to_vec(), original.data().to_vec());
    break_rows(&mut embedding, &mut head);
    let view =
        |data| TensorView::new(original.dtype(), original.shape().to_vec(), data).expect("the same size");
    let others = tensors.iter().filter(|(name, _)| *name != EMBEDDING);
    let all = others.chain([(EMBEDDING, view(&embedding)), ("lm_head.weight", view(&head))]);
    let file = dir.path().join("model.safetensors");
    fs::write(file, safetensors::serialize(all, None).expect("valid tensors"))
        .expect("the directory can be written");
    // The worker keeps the file mapped: the directory may go.
    block_on(CandleEngine::load(dir.path(), options)).expect("nothing is wrong with the headers")
}

/// Fills a token's row with NaN.
fn poison(matrix: &mut [u8], token: u32) {
    let row_bytes = matrix.len() / 1024;
    let row = &mut matrix[token as usize * row_bytes..][..row_bytes];
    row.chunks_exact_mut(2).for_each(|x| x.copy_from_slice(&0x7fc0u16.to_le_bytes()));
}

/// Checks that the model is blamed, and returns the whole chain of causes.
fn model_error<T: std::fmt::Debug>(outcome: Result<T, EngineError>) -> String {
    let error = outcome.expect_err("the model is broken");
    assert!(matches!(error, EngineError::Model(_)), "{error:?}");
    let mut text = error.to_string();
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[test]
fn a_poisoned_token_harms_only_those_who_use_it() {
    within(LIMIT, || {
        let bad = block_on(bard(EngineOptions::default()).tokenize("Z")).expect("it is text")[0];
        let options = EngineOptions { cache_tokens: Some(256), block_len: 4, ..EngineOptions::default() };
        let engine = broken_bard(|embedding, _| poison(embedding, bad), options);
        let usual = bard(EngineOptions::default());
        let prompt = |seed| tokens(seed, 30).into_iter().map(|token| if token == bad { 5 } else { token });
        for round in 0..4u64 {
            let requests = (0..8).map(|i| {
                let mut prompt: Vec<u32> = prompt(round + i / 2).collect();
                if i.is_multiple_of(2) {
                    prompt[i as usize * 3 + 2] = bad;
                }
                exactly(12, Prompt::Tokens(prompt))
            });
            let requests: Vec<GenerateRequest> = requests.collect();
            let answer = |request| async { engine.generate(request).await?.collect().await };
            let answers = block_on(join_all(requests.iter().map(|request| answer(request.clone()))));
            for (i, (request, answer)) in requests.into_iter().zip(answers).enumerate() {
                if i.is_multiple_of(2) {
                    let error = model_error(answer);
                    assert!(error.contains("the logit of token 0 is NaN"), "{error}");
                    continue;
                }
                let expected = ask(&usual, request).expect("a valid request").tokens;
                match expected[..11].contains(&bad) {
                    true => assert!(model_error(answer).contains("NaN")),
                    false => {
                        assert_eq!(answer.expect("it uses no bad token").tokens, expected, "{round}, {i}")
                    }
                }
            }
        }
        let embed = |texts: &[&str]| block_on(engine.embed(EmbedRequest::new(texts.iter().copied())));
        assert!(model_error(embed(&["the king", "Z", "a horse"])).contains("NaN"));
        let sound = embed(&["the king"]).expect("its tokens are sound");
        assert_eq!(sound, block_on(usual.embed(EmbedRequest::new(["the king"]))).expect("bard is sound"));
        check_idle(&engine);
    });
}

#[test]
fn a_poisoned_model_fails_every_request_and_goes_on() {
    within(LIMIT, || {
        let engine =
            broken_bard(|_, head| (0..1024).for_each(|token| poison(head, token)), EngineOptions::default());
        let warm = Sampling { temperature: 1.0, top_k: Some(5), top_p: Some(0.9), ..Sampling::default() };
        for sampling in [Sampling::default(), warm] {
            for _ in 0..3 {
                let request = exactly(12, "To be").with_sampling(sampling.clone()).with_logprobs(2);
                assert!(model_error(ask(&engine, request)).contains("NaN"));
            }
        }
        check_idle(&engine);
    });
}

/// Panics in the middle of the worker's work: when a request ends after 13 tokens, and after each step of an engine
/// with 77 blocks.
fn sabotage() {
    static ONCE: Once = Once::new();
    let saboteur = Listener(|event: Recorded| {
        let has = |name, field, value| event.metadata.name() == name && event.u64(field) == Some(value);
        assert!(!has("request.finished", "completion_tokens", 13), "sabotage of a request");
        assert!(!has("kv.usage", "total_blocks", 77), "sabotage of the worker");
    });
    ONCE.call_once(|| tracing::subscriber::set_global_default(saboteur).expect("no other subscriber is set"));
}

#[test]
fn a_panic_on_behalf_of_one_request_ends_it_alone() {
    within(LIMIT, || {
        sabotage();
        let engine = bard(EngineOptions::default());
        let answer = |len| {
            let engine = &engine;
            async move { engine.generate(exactly(len, "To be")).await?.collect().await }
        };
        for _ in 0..3 {
            let answers = block_on(join_all([10, 13, 16, 13, 20].map(answer)));
            for (len, answer) in [10, 13, 16, 13, 20].into_iter().zip(answers) {
                match answer {
                    Ok(answer) => assert!(answer.tokens.len() == len && len != 13, "{answer:?}"),
                    Err(error) => assert!(len == 13, "{len}: {error:?}"),
                }
            }
        }
        check_idle(&engine);
    });
}

#[test]
fn a_dead_worker_is_reported_by_every_call() {
    within(LIMIT, || {
        sabotage();
        let options = EngineOptions {
            cache_tokens: Some(77 * 16),
            max_waiting: 20,
            max_running: 2,
            ..EngineOptions::default()
        };
        let engine = bard(options);
        let streams: Vec<_> =
            (0..20).map_while(|_| block_on(engine.generate(exactly(13, "To be"))).ok()).collect();
        assert!(!streams.is_empty());
        for outcome in block_on(join_all(streams.into_iter().map(|stream| stream.collect()))) {
            assert!(matches!(outcome, Err(EngineError::Stopped)), "{outcome:?}");
        }
        for _ in 0..50 {
            let outcome = ask(&engine, exactly(4, "To be"));
            assert!(matches!(outcome, Err(EngineError::Stopped)), "{outcome:?}");
            assert!(matches!(block_on(engine.pin("x".into())), Err(EngineError::Stopped)));
            assert!(matches!(block_on(engine.embed(EmbedRequest::new(["x"]))), Err(EngineError::Stopped)));
            assert!(matches!(block_on(engine.stats()), Err(EngineError::Stopped)));
        }
        assert!(block_on(engine.tokenize("x")).is_ok(), "text needs no worker");
    });
}
