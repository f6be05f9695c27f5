//! Quantising while loading: progress, the same answers each time, and what is refused.

mod support;

use std::sync::{Arc, Mutex};

use futures::executor::block_on;
use llama_engine::Prompt;
use llama_models::Quantization;
use llama_runtime::{CandleEngine, EngineOptions, LoadStage};
use support::{ask, bard, bard_dir, exactly, tokens};

fn options(quantization: Quantization) -> EngineOptions {
    EngineOptions { quantize: Some(quantization), ..EngineOptions::default() }
}

#[test]
fn the_same_answer_each_time() {
    for quantization in Quantization::ALL {
        let answer = || {
            let request = exactly(24, Prompt::Tokens(tokens(3, 20)));
            ask(&bard(options(quantization)), request).expect("it fits").tokens
        };
        assert_eq!(answer(), answer(), "{quantization}");
    }
}

/// Different arithmetic may part at a near-tie, so only that the option takes effect is certain.
#[test]
fn fewer_bits_give_another_answer() {
    let answer = |options| ask(&bard(options), exactly(64, "HAMLET.\n")).expect("it fits").tokens;
    assert_ne!(answer(options(Quantization::Q4_0)), answer(EngineOptions::default()));
}

#[test]
fn each_matrix_is_reported() {
    let stages = Arc::new(Mutex::new(Vec::new()));
    let note = {
        let stages = stages.clone();
        move |stage| stages.lock().expect("nobody panics").push(stage)
    };
    let options = options(Quantization::Q4_0);
    block_on(CandleEngine::load_with_progress(bard_dir(), options, note)).expect("bard is there");
    let stages = stages.lock().expect("nobody panics");
    let matrices: Vec<_> = stages
        .iter()
        .filter_map(|stage| match stage {
            LoadStage::Quantizing(progress) => Some((progress.num_done, progress.num_tensors)),
            _ => None,
        })
        .collect();
    assert_eq!(matrices, (1..=43).map(|i| (i, 43)).collect::<Vec<_>>());
    let after = stages.iter().skip_while(|stage| !matches!(stage, LoadStage::Quantizing(_)));
    let after: Vec<_> = after.filter(|stage| !matches!(stage, LoadStage::Quantizing(_))).collect();
    assert_eq!(after, [&LoadStage::Weights, &LoadStage::Cache, &LoadStage::Ready]);
}
