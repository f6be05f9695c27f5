//! Drafting ahead changes how many steps an answer takes, and nothing else.

mod support;

use candle_core::{Device, Tensor};
use futures::{StreamExt, executor::block_on, future::join_all};
use llama_engine::{
    EndOfText, Event, Finished, GenerateRequest, Grammar, KeepContext, LlamaEngine, Prompt, Sampling,
    Speculation, TokenEvent, contract,
};
use llama_models::Quantization;
use llama_runtime::{
    CandleEngine, EngineOptions, LoadError,
    speculation::{
        CostTable, Costs, Draft, DraftError, Drafter, DrafterChoice, OwnDrafter, PromptLookup,
        SpeculationOptions, Verification,
    },
};
use support::{Random, bard, check_idle, exactly, tokens};

/// Costs are given, so that no test depends on a clock. Rows are free, so that as much is drafted as can be.
fn options(drafter: DrafterChoice) -> SpeculationOptions {
    let free = CostTable { step_us: [1000.0; 5], draft_us: 0.0, draft_token_us: 0.0, draft_read_us: 0.0 };
    SpeculationOptions { costs: Costs::Given(free), ..SpeculationOptions::new(drafter) }
}

fn speculating(speculation: SpeculationOptions) -> CandleEngine {
    bard(EngineOptions { speculation: Some(speculation), ..EngineOptions::default() })
}

fn lookup() -> DrafterChoice {
    DrafterChoice::PromptLookup(PromptLookup { min_match_len: 1, ..PromptLookup::default() })
}

/// Drafts from answers that it knows, with a wrong token here and there, and nonsense.
struct Oracle {
    answers: Vec<Vec<u32>>,
    random: Random,
}

fn oracle(answers: Vec<Vec<u32>>) -> DrafterChoice {
    DrafterChoice::Own(OwnDrafter::new(move || {
        Box::new(Oracle { answers: answers.clone(), random: Random(1) })
    }))
}

impl Drafter for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }

    fn extend(&mut self, drafts: &mut [Draft]) -> Result<(), DraftError> {
        for draft in drafts {
            loop {
                let known = self.answers.iter().find(|answer| answer.starts_with(draft.tokens()));
                let next = known.and_then(|answer| answer.get(draft.tokens().len()));
                let token = match (self.random.below(12), next) {
                    (0, _) => self.random.below(1000) as u32,
                    (1, _) => u32::MAX - self.random.below(9) as u32,
                    (_, Some(next)) => *next,
                    (_, None) => break,
                };
                // More than it takes, now and then.
                if !draft.push(token) && self.random.below(4) > 0 {
                    break;
                }
                assert!(draft.num_drafted() <= draft.max_len());
            }
        }
        match self.random.below(9) {
            0 => Err("the oracle is silent".into()),
            1 => panic!("the oracle is gone"),
            _ => Ok(()),
        }
    }
}

/// All token events, and the end.
async fn events(engine: &CandleEngine, request: GenerateRequest) -> (Vec<TokenEvent>, Finished) {
    let mut stream = engine.generate(request).await.expect("a valid request");
    let (mut tokens, mut end) = (Vec::new(), None);
    while let Some(event) = stream.next().await {
        match event.expect("nothing fails here") {
            Event::Token(token) => tokens.push(token),
            Event::Finished(finished) => end = Some(finished),
            Event::Prompt(_) | Event::Citation(_) => {}
        }
    }
    (tokens, end.expect("every stream has an end"))
}

/// Runs requests on a speculating engine, at once, and compares each with its run without. Returns how many tokens were
/// drafted and accepted.
fn check(speculation: SpeculationOptions, requests: &[GenerateRequest]) -> (usize, usize) {
    let (engine, plain) = (speculating(speculation), bard(EngineOptions::default()));
    let together = block_on(join_all(requests.iter().map(|request| events(&engine, request.clone()))));
    let (mut num_drafted, mut num_accepted) = (0, 0);
    for (i, (request, (found, end))) in requests.iter().zip(together).enumerate() {
        let (expected, expected_end) = block_on(events(&plain, request.clone()));
        assert_eq!(found, expected, "request {i}");
        assert_eq!((end.reason, end.text), (expected_end.reason, expected_end.text), "request {i}");
        let (usage, plain_usage) = (end.usage, expected_end.usage);
        assert_eq!(usage.completion_tokens, plain_usage.completion_tokens, "request {i}");
        assert_eq!(usage.forced_tokens, plain_usage.forced_tokens, "request {i}");
        assert_eq!(plain_usage.speculation, Default::default(), "nothing is drafted without a drafter");
        num_drafted += usage.speculation.drafted_tokens;
        num_accepted += usage.speculation.accepted_tokens;
    }
    check_idle(&engine);
    (num_drafted, num_accepted)
}

/// 60 requests: prompts of words, of anything and with repetitions.
fn requests() -> Vec<GenerateRequest> {
    let words = ["The king", "HAMLET.\n", "O Romeo, Romeo,", "To be, or not to be", "Enter GHOST and"];
    let prompts = (0..60).map(|i| match i % 3 {
        0 => Prompt::Text(format!("{} {}", words[i % 5], words[i % 4])),
        1 => Prompt::Tokens(tokens(i as u64, 5 + i)),
        _ => Prompt::Tokens(tokens(i as u64, 4 + i % 9).repeat(5)),
    });
    prompts.enumerate().map(|(i, prompt)| exactly(20 + i % 23, prompt).with_logprobs(2)).collect()
}

/// What an engine without speculation answers, behind each prompt of tokens.
fn answers(requests: &[GenerateRequest]) -> Vec<Vec<u32>> {
    let plain = bard(EngineOptions::default());
    let answer = |request: &GenerateRequest| {
        let (tokens, _) = block_on(events(&plain, request.clone()));
        let prompt = match &request.prompt {
            Prompt::Tokens(tokens) => tokens.clone(),
            // As the engine tokenises a text that starts a sequence: bard begins with token 0.
            Prompt::Text(text) => [vec![0], block_on(plain.tokenize(text)).expect("text")].concat(),
            Prompt::Chat(_) => panic!("bard knows no conversations"),
        };
        [prompt, tokens.iter().map(|token| token.id).collect()].concat()
    };
    requests.iter().map(answer).collect()
}

fn sampled(request: GenerateRequest, seed: u64) -> GenerateRequest {
    request.with_sampling(Sampling { temperature: 0.7, seed: Some(seed), ..Sampling::default() })
}

fn guided(seed: u64) -> GenerateRequest {
    let schema = r#"{"type": "object", "properties": {"name": {"type": "string", "maxLength": 20},
        "words": {"type": "array", "items": {"enum": ["king", "queen", "ghost"]}, "maxItems": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["name", "words", "age"], "additionalProperties": false}"#;
    let prompt = Prompt::Tokens(tokens(seed, 9 + seed as usize % 20));
    let request = GenerateRequest::new(prompt).with_max_tokens(60 + seed as usize % 17);
    request.with_grammar(Grammar::JsonSchema(schema.to_owned()))
}

#[test]
fn prompt_lookup_changes_no_greedy_answer() {
    let (num_drafted, num_accepted) = check(options(lookup()), &requests());
    assert!(num_accepted > 50 && num_drafted > num_accepted, "{num_accepted} of {num_drafted}");
}

#[test]
fn every_length_gives_the_same_answer() {
    for len in [1, 3, 16] {
        let fixed = Speculation::Fixed(len);
        let requests: Vec<_> =
            requests().into_iter().step_by(3).map(|request| request.with_speculation(fixed)).collect();
        let most = SpeculationOptions { max_draft_len: 16, ..options(lookup()) };
        assert!(check(most, &requests).1 > 10);
    }
}

#[test]
fn a_drafter_of_ones_own_changes_no_answer_whatever_it_drafts() {
    let requests = requests();
    let (num_drafted, num_accepted) = check(options(oracle(answers(&requests))), &requests);
    assert!(num_accepted > 300 && num_drafted > num_accepted, "{num_accepted} of {num_drafted}");
}

#[test]
fn matched_samples_are_those_of_the_seed() {
    let requests: Vec<_> = (0..).zip(requests()).map(|(seed, request)| sampled(request, seed)).collect();
    let (_, num_accepted) = check(options(oracle(answers(&requests))), &requests);
    assert!(num_accepted > 300, "{num_accepted}");
    assert!(check(options(lookup()), &requests).1 > 10);
}

#[test]
fn rejection_changes_no_greedy_answer() {
    let requests = requests();
    let rejecting =
        SpeculationOptions { verification: Verification::Rejection, ..options(oracle(answers(&requests))) };
    assert!(check(rejecting, &requests).1 > 300);
}

#[test]
fn grammars_filter_drafts_and_stay_exact() {
    let greedy: Vec<_> = (0..30).map(guided).collect();
    let warm: Vec<_> = (0..30).map(|seed| sampled(guided(seed), seed)).collect();
    for requests in [greedy, warm] {
        assert!(check(options(oracle(answers(&requests))), &requests).1 > 100);
        assert!(check(options(lookup()), &requests).1 > 0);
    }
}

/// Token limits, stop texts, stop tokens, shortest lengths and ends of text, each inside a draft.
#[test]
fn answers_end_where_they_would_without_a_draft() {
    let endless: Vec<_> = (0..8).map(|i| exactly(40, Prompt::Tokens(tokens(i, 12)))).collect();
    let known = answers(&endless);
    let mut requests = Vec::new();
    for (i, request) in endless.iter().enumerate() {
        let answer = &known[i][12..];
        requests.extend((1..12).map(|len| request.clone().with_max_tokens(len)));
        let mut stopped = request.clone();
        stopped.rules.stop = vec![answer[5 + i]];
        requests.push(stopped.clone());
        stopped.rules.min_tokens = 9;
        requests.push(stopped);
        let plain = bard(EngineOptions::default());
        let text = block_on(plain.detokenize(&answer[4..7])).expect("tokens have text");
        requests.push(request.clone().with_stop(text));
        requests.push(request.clone().with_end(EndOfText::Stops).with_max_tokens(200));
    }
    assert!(check(options(oracle(known)), &requests).1 > 200);
}

#[test]
fn the_context_ends_inside_a_draft() {
    let speculation = Some(options(lookup()));
    let engine = bard(EngineOptions { context_len: Some(64), speculation, ..EngineOptions::default() });
    let plain = bard(EngineOptions { context_len: Some(64), ..EngineOptions::default() });
    for len in [1, 2, 40, 62, 63] {
        let request = GenerateRequest::new(Prompt::Tokens(vec![77; len]))
            .with_end(EndOfText::Ignored)
            .with_speculation(Speculation::Fixed(8));
        let (found, end) = block_on(events(&engine, request.clone()));
        assert_eq!(found, block_on(events(&plain, request)).0);
        assert_eq!(end.usage.completion_tokens, 64 - len);
    }
    check_idle(&engine);
}

#[test]
fn kept_contexts_and_samples_go_on_from_drafts() {
    let (engine, plain) = (speculating(options(lookup())), bard(EngineOptions::default()));
    let first = sampled(exactly(30, Prompt::Tokens(tokens(3, 8).repeat(4))), 5).with_keep(KeepContext::Yes);
    let answers = [&engine, &plain].map(|engine| {
        let (heard, end) = block_on(events(engine, first.clone()));
        let context = end.context.expect("it was asked for");
        assert_eq!(context.len(), 32 + 30);
        let mut heard: Vec<u32> = heard.iter().map(|token| token.id).collect();
        let next = exactly(25, Prompt::Tokens(vec![heard[29]])).with_context(context);
        let streams = block_on(engine.generate_n(sampled(next, 9), 3)).expect("a valid request");
        for stream in streams {
            let completion = block_on(stream.collect()).expect("nothing fails here");
            heard.extend(completion.tokens);
        }
        heard
    });
    assert_eq!(answers[0], answers[1]);
    check_idle(&engine);
}

#[test]
fn what_was_drafted_is_counted() {
    let requests = [exactly(40, Prompt::Tokens(tokens(3, 8).repeat(4)))];
    let known = answers(&requests);
    let exact = DrafterChoice::Own(OwnDrafter::new(move || Box::new(Exact(known.clone()))));
    let engine = speculating(options(exact));
    let (_, end) = block_on(events(&engine, requests[0].clone()));
    let usage = end.usage.speculation;
    assert_eq!(usage.acceptance(), Some(1.0), "{usage:?}");
    // The first token comes with the prompt; then 8 drafted ones and one more for each step.
    assert_eq!((usage.num_drafts, usage.drafted_tokens), (5, 34), "{usage:?}");
    assert_eq!(usage.by_place[0].drafted, 5);
    assert_eq!(usage.by_place[7].accepted, 4);
    assert_eq!(usage.saved_us, 34_000, "each accepted token saves a step, and steps cost the same");
    let off = requests[0].clone().with_speculation(Speculation::Off);
    assert_eq!(block_on(events(&engine, off)).1.usage.speculation.num_drafts, 0);
}

/// Drafts from answers that it knows.
struct Exact(Vec<Vec<u32>>);

impl Drafter for Exact {
    fn name(&self) -> &'static str {
        "exact"
    }

    fn extend(&mut self, drafts: &mut [Draft]) -> Result<(), DraftError> {
        for draft in drafts {
            let known = self.0.iter().find(|answer| answer.starts_with(draft.tokens()));
            let left = known.map(|answer| answer[draft.tokens().len()..].to_vec());
            left.into_iter().flatten().all(|token| draft.push(token));
        }
        Ok(())
    }
}

#[test]
fn the_contract_is_kept() {
    block_on(contract::check_all(&speculating(options(lookup()))));
}

#[test]
fn the_contract_is_kept_in_small_steps() {
    let options = EngineOptions {
        context_len: Some(256),
        cache_tokens: Some(512),
        block_len: 3,
        max_step_tokens: 7,
        max_running: 5,
        speculation: Some(options(lookup())),
        ..EngineOptions::default()
    };
    block_on(contract::check_all(&bard(options)));
}

#[test]
fn drafts_leave_no_trace_where_blocks_are_few() {
    let requests: Vec<_> = requests().into_iter().step_by(5).collect();
    let known = answers(&requests);
    for verification in [Verification::Matching, Verification::Rejection] {
        let speculation = Some(SpeculationOptions { verification, ..options(oracle(known.clone())) });
        let (cache_tokens, block_len) = (Some(160), 4);
        let engine = bard(EngineOptions { cache_tokens, block_len, speculation, ..EngineOptions::default() });
        let found = block_on(join_all(requests.iter().map(|request| events(&engine, request.clone()))));
        let plain = bard(EngineOptions::default());
        for (request, (found, _)) in requests.iter().zip(found) {
            assert_eq!(found, block_on(events(&plain, request.clone())).0);
        }
        let stats = block_on(engine.stats()).expect("the worker lives");
        assert!(stats.num_preemptions > 0, "{stats:?}");
        check_idle(&engine);
    }
}

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

/// Broken logits of a drafting model end its draft, not the answer.
#[test]
fn a_drafter_without_numbers_drafts_nothing() {
    struct Broken;
    impl Drafter for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }
        fn extend(&mut self, drafts: &mut [Draft]) -> Result<(), DraftError> {
            let logits = Tensor::full(f32::NAN, 1024, &Device::Cpu)?;
            for draft in drafts {
                assert!(draft.push_from(&logits).is_err());
                assert!(!draft.push(3), "a draft that has failed is over");
            }
            Ok(())
        }
    }
    let broken = DrafterChoice::Own(OwnDrafter::new(|| Box::new(Broken)));
    let requests: Vec<_> = requests().into_iter().step_by(7).collect();
    assert_eq!(check(options(broken), &requests), (0, 0));
}

/// Frequencies of what is sampled with drafts against the model's own probabilities, over two tokens: the first of a
/// draft and the one after it. Six tokens are allowed, so there are 36 cells; 66.6 is exceeded once in a thousand.
fn check_frequencies(model: DrafterChoice, temperature: f32) {
    const NUM_ANSWERS: u64 = 1500;
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
