//! Drafting ahead changes how many steps an answer takes, and nothing else.

mod support;

use candle_core::{Device, Tensor};
use futures::{executor::block_on, future::join_all};
use llama_engine::{EndOfText, GenerateRequest, KeepContext, LlamaEngine, Prompt, Speculation, contract};
use llama_runtime::{
    CandleEngine, EngineOptions, LoadError,
    speculation::{Draft, DraftError, Drafter, DrafterChoice, OwnDrafter, SpeculationOptions, Verification},
};
use support::{
    Random, bard, check_idle, exactly,
    speculating::{check, citing, events, guided, lookup, options, requests, sampled, speculating},
    tokens,
};

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
    let cited: Vec<_> = (0..20).map(|seed| sampled(citing(seed), seed)).collect();
    for requests in [greedy, warm, cited] {
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

#[test]
fn a_draft_of_no_length_or_of_too_many_tokens_is_refused() {
    for max_draft_len in [0, 17] {
        let speculation = Some(SpeculationOptions { max_draft_len, ..options(lookup()) });
        let engine_options = EngineOptions { speculation, ..EngineOptions::default() };
        let refused = block_on(CandleEngine::load(support::bard_dir(), engine_options));
        assert!(matches!(refused, Err(LoadError::Option { option: "speculation.max_draft_len", .. })));
    }
}
