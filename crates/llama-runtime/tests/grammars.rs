//! Grammars inside of the engine: what happens to a constrained sequence on its way does not show, and nothing fails open.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use futures::{executor::block_on, future::join_all};
use llama_engine::{
    CitationGrammar, Completion, EngineError, FinishReason, GenerateRequest, Grammar, LlamaEngine,
    RequiredCitations, Sampling, TokenRules,
};
use llama_runtime::EngineOptions;
use llama_sampling::GrammarLimits;
use serde_json::Value;
use support::{ask, bard, check_idle};

const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "speaker": { "enum": ["HAMLET", "OPHELIA"] },
        "lines": { "type": "array", "items": { "type": "string", "maxLength": 12 }, "minItems": 1, "maxItems": 3 },
        "act": { "type": "integer", "minimum": 1, "maximum": 5 }
    },
    "required": ["speaker", "lines", "act"],
    "additionalProperties": false
}"#;

fn json(seed: u64) -> GenerateRequest {
    let sampling = Sampling { temperature: 0.9, seed: Some(seed), ..Sampling::default() };
    GenerateRequest::new("HAMLET.\nSpeak.\n")
        .with_grammar(Grammar::JsonSchema(SCHEMA.to_owned()))
        .with_sampling(sampling)
        .with_max_tokens(120)
}

fn check_json(completion: &Completion) {
    assert_eq!(completion.finished.reason, FinishReason::EndOfText, "{}", completion.text);
    let value: Value =
        serde_json::from_str(&completion.text).unwrap_or_else(|error| panic!("{error}: {}", completion.text));
    assert!(["HAMLET", "OPHELIA"].contains(&value["speaker"].as_str().unwrap()));
    let lines = value["lines"].as_array().unwrap();
    assert!((1..=3).contains(&lines.len()), "{value}");
    assert!(lines.iter().all(|line| line.as_str().unwrap().chars().count() <= 12), "{value}");
    assert!((1..=5).contains(&value["act"].as_u64().unwrap()), "{value}");
}

#[test]
fn a_schema_gives_values_that_are_valid() {
    let engine = bard(EngineOptions::default());
    for seed in 0..8 {
        let completion = ask(&engine, json(seed)).unwrap();
        check_json(&completion);
        let usage = completion.finished.usage;
        assert!(usage.forced_tokens * 4 > usage.completion_tokens, "keys are forced: {usage:?}");
        assert_eq!(usage.completion_tokens, completion.tokens.len());
    }
    check_idle(&engine);
}

/// Answers at once under `options`, each as on an engine of its own.
fn check_together(requests: &[GenerateRequest], options: EngineOptions) -> u64 {
    let engine = bard(options);
    let answer = |request: &GenerateRequest| {
        let request = request.clone();
        async { engine.generate(request).await?.collect().await }
    };
    let together: Vec<Result<Completion, EngineError>> = block_on(join_all(requests.iter().map(answer)));
    let alone = bard(EngineOptions::default());
    for (request, together) in requests.iter().zip(together) {
        let (together, alone) = (together.unwrap(), ask(&alone, request.clone()).unwrap());
        assert_eq!(together.text, alone.text);
        assert_eq!(together.tokens, alone.tokens);
        assert_eq!(together.citations, alone.citations);
        assert_eq!(together.finished.usage.forced_tokens, alone.finished.usage.forced_tokens);
    }
    check_idle(&engine);
    block_on(engine.stats()).unwrap().num_preemptions
}

fn mixed() -> Vec<GenerateRequest> {
    let citing =
        Grammar::Citations(CitationGrammar { ids: vec![1, 4], required: RequiredCitations::PerSentence });
    let list = Grammar::Gbnf("root ::= (\"- \" [a-z ]{3,20} \"\\n\"){2,4}".to_owned());
    let mut requests: Vec<GenerateRequest> = (0..4).map(json).collect();
    for (seed, grammar) in [(5, citing.clone()), (6, list.clone()), (7, citing), (8, list)] {
        requests.push(json(seed).with_grammar(grammar).with_max_tokens(60));
    }
    requests.push(GenerateRequest::new("HAMLET.\n").with_max_tokens(40));
    requests
}

#[test]
fn neither_load_nor_small_steps_nor_preemption_show() {
    check_together(&mixed(), EngineOptions::default());
    let small =
        EngineOptions { max_step_tokens: 5, block_len: 3, max_running: 4, ..EngineOptions::default() };
    check_together(&mixed(), small);
    let scarce = EngineOptions {
        cache_tokens: Some(180),
        block_len: 4,
        context_len: Some(160),
        ..EngineOptions::default()
    };
    assert!(check_together(&mixed(), scarce) > 0, "nothing was preempted");
}

#[test]
fn samples_and_branches_are_constrained_each() {
    let engine = bard(EngineOptions::default());
    let streams = block_on(engine.generate_n(json(3), 4)).unwrap();
    let samples: Vec<Completion> = block_on(join_all(streams.into_iter().map(|stream| stream.collect())))
        .into_iter()
        .map(Result::unwrap)
        .collect();
    for (i, sample) in samples.iter().enumerate() {
        check_json(sample);
        assert_eq!(sample.tokens, ask(&engine, json(3).for_sample(i)).unwrap().tokens);
    }
    let context = block_on(engine.pin("HAMLET.\nSpeak.\n".into())).unwrap();
    let branch = |seed| GenerateRequest { prompt: "So:".into(), ..json(seed) }.with_context(context.clone());
    let branches = block_on(join_all((0..3).map(|seed| {
        let (engine, request) = (&engine, branch(seed));
        async move { engine.generate(request).await?.collect().await }
    })));
    branches.into_iter().for_each(|branch: Result<Completion, EngineError>| check_json(&branch.unwrap()));
}

#[test]
fn watching_or_forbidding_changes_no_token() {
    let engine = bard(EngineOptions::default());
    let usual = ask(&engine, json(11)).unwrap();
    let watched = ask(&engine, json(11).with_logprobs(2)).unwrap();
    assert_eq!((watched.tokens, watched.finished.usage.forced_tokens), (usual.tokens.clone(), 0));
    let unsaid = (2..1000).find(|token| !usual.tokens.contains(token)).unwrap();
    let rules = TokenRules { banned: vec![unsaid], ..TokenRules::default() };
    let ruled = ask(&engine, json(11).with_rules(rules)).unwrap();
    assert_eq!(ruled.finished.usage.forced_tokens, 0, "rules have a say about each token");
    check_json(&ruled);
}

#[test]
fn what_has_no_way_out_is_an_error() {
    let engine = bard(EngineOptions::default());
    // Rules that forbid what the grammar wants.
    let first = ask(&engine, json(1)).unwrap().tokens[0];
    let rules = TokenRules { banned: vec![first], ..TokenRules::default() };
    let forbidden = ask(&engine, json(1).with_rules(rules));
    assert!(matches!(forbidden, Err(EngineError::NoCandidate)), "{forbidden:?}");
    // A grammar that is done before the least number of tokens.
    let rules = TokenRules { min_tokens: 50, ..TokenRules::default() };
    let choice = json(1).with_grammar(Grammar::Choice(vec!["aye".to_owned()])).with_rules(rules);
    assert!(matches!(ask(&engine, choice), Err(EngineError::NoCandidate)));
    check_idle(&engine);
}

#[test]
fn a_text_that_grows_beyond_the_limits_of_a_step_is_an_error() {
    // Each "a" may or may not have its "b", so what is open grows with the text.
    let source = "root ::= \"a\" root \"b\" | \"a\" root | \"a\"".to_owned();
    let grammar_limits = GrammarLimits { max_parser_row_items: 100, ..GrammarLimits::default() };
    let engine = bard(EngineOptions { grammar_limits, ..EngineOptions::default() });
    let a = block_on(engine.tokenize("a")).unwrap();
    let rules = TokenRules { min_tokens: 900, allowed: Some(a), ..TokenRules::default() };
    let grammar = Grammar::Gbnf(source);
    let request = GenerateRequest::new("a").with_grammar(grammar).with_rules(rules).with_max_tokens(900);
    let mut stream = block_on(engine.generate(request)).unwrap();
    let mut said = String::new();
    let error = loop {
        match block_on(stream.next_event()) {
            Ok(Some(llama_engine::Event::Token(token))) => said.push_str(&token.text),
            Ok(other) => panic!("{other:?} after {} bytes", said.len()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, EngineError::GrammarDeadEnd(_)), "{error:?}");
    assert!(said.bytes().all(|byte| byte == b'a') && !said.is_empty(), "{said}");
    check_idle(&engine);
}

#[test]
fn dropped_and_interrupted_answers_free_everything() {
    let engine = bard(EngineOptions::default());
    for num_tokens in 0..6 {
        let mut stream = block_on(engine.generate(json(num_tokens))).unwrap();
        (0..num_tokens).for_each(|_| drop(block_on(stream.next_event()).unwrap()));
    }
    let mut stream = block_on(engine.generate(json(1))).unwrap();
    block_on(stream.next_event()).unwrap();
    stream.stop();
    let interrupted = block_on(stream.collect()).unwrap();
    assert_eq!(interrupted.finished.reason, FinishReason::Interrupted);
    check_idle(&engine);
}
