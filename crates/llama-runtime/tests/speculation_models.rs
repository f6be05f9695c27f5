//! Models that draft: exact, token for token or in distribution, whatever they say.

mod support;

use futures::{executor::block_on, future::join_all};
use llama_engine::{Prompt, Sampling, Speculation, TokenEvent, contract};
use llama_models::Quantization;
use llama_runtime::{
    CandleEngine, EngineOptions, LoadError,
    speculation::{Costs, DrafterChoice, SpeculationOptions, Verification},
};
use support::{
    bard, check_idle, exactly,
    speculating::{check, events, guided, lookup, options, requests, sampled, speculating},
    tokens,
};

/// Each kind of drafting model, for bard.
fn models() -> Vec<DrafterChoice> {
    vec![
        DrafterChoice::Model(support::bard_dir().with_file_name("bard-draft")),
        DrafterChoice::Model(support::bard_dir()),
        DrafterChoice::Quantized(Quantization::Q4_0),
    ]
}

#[test]
fn drafting_models_change_no_answer() {
    for model in models() {
        for requests in [requests(), (0..).zip(requests()).map(|(i, request)| sampled(request, i)).collect()]
        {
            let (num_drafted, num_accepted) = check(options(model.clone()), &requests);
            let share = num_accepted as f64 / num_drafted as f64;
            println!("{model:?}: {num_accepted} of {num_drafted} accepted");
            assert!(num_accepted > 200 && share > 0.1, "{model:?}: {num_accepted} of {num_drafted}");
        }
    }
}

/// The model itself drafts what it says: everything is accepted, sampled or not, if both see the same.
#[test]
fn a_model_accepts_itself() {
    let itself = DrafterChoice::Model(support::bard_dir());
    for verification in [Verification::Matching, Verification::Rejection] {
        let engine = speculating(SpeculationOptions { verification, ..options(itself.clone()) });
        for seed in 0..10 {
            for request in [exactly(50, Prompt::Tokens(tokens(seed, 20))), guided(seed)] {
                let (_, end) = block_on(events(&engine, sampled(request, seed)));
                let usage = end.usage.speculation;
                let num_refuted = usage.drafted_tokens - usage.accepted_tokens;
                // A grammar's forced tokens, and the end of the answer, leave the rest of a draft behind.
                let most = if end.usage.forced_tokens > 0 { usage.num_drafts * 8 } else { 8 };
                assert!(num_refuted <= most && usage.accepted_tokens > 0, "{usage:?}");
            }
        }
        check_idle(&engine);
    }
}

#[test]
fn grammars_filter_what_models_draft() {
    for model in models() {
        let warm: Vec<_> = (0..20).map(|seed| sampled(guided(seed), seed)).collect();
        let (num_drafted, num_accepted) = check(options(model.clone()), &warm);
        assert!(num_accepted > 100, "{model:?}: {num_accepted} of {num_drafted}");
        let greedy: Vec<_> = (0..20).map(guided).collect();
        check(options(model), &greedy);
    }
}

/// Contexts, forks and rewound prompts, and a cache for drafts that is much too small for all.
#[test]
fn drafting_models_keep_the_contract() {
    for model in models() {
        let small = EngineOptions {
            context_len: Some(256),
            cache_tokens: Some(512),
            block_len: 3,
            max_step_tokens: 9,
            max_running: 5,
            speculation: Some(options(model)),
            ..EngineOptions::default()
        };
        block_on(contract::check_all(&bard(small)));
    }
}

#[test]
fn a_draft_model_with_another_vocabulary_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let draft = support::bard_dir().with_file_name("bard-draft");
    for file in std::fs::read_dir(draft).expect("it is in the repository") {
        let file = file.expect("it is readable").path();
        let name = file.file_name().expect("a file").to_owned();
        std::fs::copy(&file, dir.path().join(name)).expect("a copy");
    }
    let path = dir.path().join("tokenizer.json");
    let text = std::fs::read_to_string(&path).expect("a tokenizer");
    let mut tokenizer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().expect("a vocabulary");
    let [a, b] = ["a", "b"].map(|token| vocabulary[token].clone());
    vocabulary.insert("a".to_owned(), b);
    vocabulary.insert("b".to_owned(), a);
    std::fs::write(&path, tokenizer.to_string()).expect("it is ours");
    let speculation = Some(options(DrafterChoice::Model(dir.path().to_owned())));
    let engine_options = EngineOptions { speculation, ..EngineOptions::default() };
    let refused = block_on(CandleEngine::load(support::bard_dir(), engine_options));
    let Err(LoadError::Vocabulary { path, reason }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(path, dir.path());
    assert!(reason.ends_with("the model's \"a\"") || reason.ends_with("the model's \"b\""), "{reason}");
}

/// Frequencies of what is sampled with drafts against the model's own probabilities, over two tokens: the first of a
/// draft and the one after it. Six tokens are allowed, so there are 36 cells; 66.6 is exceeded once in a thousand.
fn check_frequencies(model: DrafterChoice, temperature: f32) {
    const NUM_ANSWERS: u64 = 800;
    let allowed = [306u32, 398, 312, 269, 325, 293];
    let request = |seed| {
        let sampling = Sampling { temperature, seed: Some(seed), ..Sampling::default() };
        let mut request = exactly(5, "The king and").with_sampling(sampling);
        request.rules.allowed = Some(allowed.to_vec());
        request.with_speculation(Speculation::Fixed(3))
    };
    let rejecting = SpeculationOptions { verification: Verification::Rejection, ..options(model) };
    let engine = speculating(rejecting);
    let mut counts = [[0f64; 6]; 6];
    let (mut num_drafted, mut num_accepted) = (0, 0);
    let place = |token: &TokenEvent| allowed.iter().position(|id| *id == token.id).expect("it is allowed");
    for seed in 0..NUM_ANSWERS {
        let (heard, end) = block_on(events(&engine, request(seed)));
        counts[place(&heard[1])][place(&heard[2])] += 1.0;
        num_drafted += end.usage.speculation.drafted_tokens;
        num_accepted += end.usage.speculation.accepted_tokens;
    }
    let plain = bard(EngineOptions::default());
    let mut expected = [[0f64; 6]; 6];
    for seed in 0..3 * NUM_ANSWERS {
        let (heard, _) = block_on(events(&plain, request(seed + 1_000_000)));
        expected[place(&heard[1])][place(&heard[2])] += 1.0;
    }
    // Two samples of different size (Press et al., Numerical Recipes, 14.3).
    let (mut chi_square, mut num_cells) = (0.0, 0);
    let ratio = 3f64.sqrt();
    for (found, expected) in counts.iter().flatten().zip(expected.iter().flatten()) {
        if found + expected > 10.0 {
            chi_square += (ratio * found - expected / ratio).powi(2) / (found + expected);
            num_cells += 1;
        }
    }
    println!(
        "temperature {temperature}: {chi_square} over {num_cells} cells, {num_accepted} of {num_drafted}"
    );
    assert!(num_cells >= 6 && num_accepted * 20 > num_drafted, "{num_accepted} of {num_drafted}");
    assert!(chi_square < 66.6, "temperature {temperature}: {chi_square} over {num_cells} cells");
}

#[test]
fn rejection_samples_as_the_model_does() {
    for temperature in [0.5, 1.0, 1.5] {
        check_frequencies(models().swap_remove(0), temperature);
    }
    check_frequencies(lookup(), 1.0);
}

/// With rejection the seed gives the same answer whatever else runs.
#[test]
fn rejected_samples_do_not_depend_on_load() {
    let speculation = SpeculationOptions {
        verification: Verification::Rejection,
        costs: Costs::Measured,
        ..options(models().swap_remove(0))
    };
    let requests: Vec<_> = (0..).zip(requests()).map(|(i, request)| sampled(request, i)).collect();
    let small = EngineOptions {
        cache_tokens: Some(320),
        block_len: 4,
        max_step_tokens: 20,
        speculation: Some(speculation.clone()),
        ..EngineOptions::default()
    };
    let (crowded, alone) = (bard(small), speculating(speculation));
    let together = block_on(join_all(requests.iter().map(|request| events(&crowded, request.clone()))));
    for (i, (request, (found, end))) in requests.iter().zip(together).enumerate() {
        let (expected, expected_end) = block_on(events(&alone, request.clone()));
        assert!(found == expected, "request {i}");
        let counts = [end, expected_end].map(|end| end.usage.speculation.accepted_tokens);
        assert_eq!(counts[0], counts[1], "request {i}");
    }
    let stats = block_on(crowded.stats()).expect("the worker lives");
    assert!(stats.num_preemptions > 0, "{stats:?}");
    check_idle(&crowded);
}

/// Of the tokens drafted first, the share that is accepted at temperature 1.
fn first_acceptance(model: DrafterChoice, verification: Verification) -> f64 {
    let engine = speculating(SpeculationOptions { verification, ..options(model) });
    let (mut num_drafted, mut num_accepted) = (0, 0);
    for seed in 0..60 {
        let sampling = Sampling { temperature: 1.0, seed: Some(seed), ..Sampling::default() };
        let request = exactly(60, "HAMLET.\n").with_sampling(sampling);
        let (_, end) = block_on(events(&engine, request.with_speculation(Speculation::Fixed(1))));
        let first = end.usage.speculation.by_place[0];
        num_drafted += u32::from(first.drafted);
        num_accepted += u32::from(first.accepted);
    }
    f64::from(num_accepted) / f64::from(num_drafted)
}

/// Rejection accepts what the two distributions share (0.62 of bard-draft's); drawing with the same random numbers fewer,
/// the closer they are the more.
#[test]
fn close_distributions_are_accepted_most_of_the_time() {
    for (model, (least_rejecting, least_matching)) in
        models().into_iter().zip([(0.58, 0.25), (1.0, 1.0), (0.8, 0.5)])
    {
        let rejecting = first_acceptance(model.clone(), Verification::Rejection);
        let matching = first_acceptance(model.clone(), Verification::Matching);
        println!("{model:?}: rejection {rejecting:.3}, matching {matching:.3}");
        assert!(
            rejecting >= least_rejecting && matching >= least_matching,
            "{model:?}: {rejecting} and {matching}"
        );
    }
}
