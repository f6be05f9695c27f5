//! What the tests of speculation share.
#![allow(dead_code, reason = "each test binary uses a part")]

use futures::{StreamExt, executor::block_on, future::join_all};
use llama_engine::{
    CitationGrammar, Event, Finished, GenerateRequest, Grammar, LlamaEngine, Prompt, RequiredCitations,
    Sampling, TokenEvent,
};
use llama_runtime::{
    CandleEngine, EngineOptions,
    speculation::{CostTable, Costs, DrafterChoice, PromptLookup, SpeculationOptions},
};

use super::{bard, check_idle, exactly, tokens};

/// Costs are given, so that no test depends on a clock. Rows are free, so that as much is drafted as can be.
pub(crate) fn options(drafter: DrafterChoice) -> SpeculationOptions {
    let free = CostTable { step_us: [1000.0; 5], draft_us: 0.0, draft_token_us: 0.0, draft_read_us: 0.0 };
    SpeculationOptions { costs: Costs::Given(free), ..SpeculationOptions::new(drafter) }
}

pub(crate) fn speculating(speculation: SpeculationOptions) -> CandleEngine {
    bard(EngineOptions { speculation: Some(speculation), ..EngineOptions::default() })
}

pub(crate) fn lookup() -> DrafterChoice {
    DrafterChoice::PromptLookup(PromptLookup { min_match_len: 1, ..PromptLookup::default() })
}

/// All token events, and the end.
pub(crate) async fn events(engine: &CandleEngine, request: GenerateRequest) -> (Vec<TokenEvent>, Finished) {
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
pub(crate) fn check(speculation: SpeculationOptions, requests: &[GenerateRequest]) -> (usize, usize) {
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
pub(crate) fn requests() -> Vec<GenerateRequest> {
    let words = ["The king", "HAMLET.\n", "O Romeo, Romeo,", "To be, or not to be", "Enter GHOST and"];
    let prompts = (0..60).map(|i| match i % 3 {
        0 => Prompt::Text(format!("{} {}", words[i % 5], words[i % 4])),
        1 => Prompt::Tokens(tokens(i as u64, 5 + i)),
        _ => Prompt::Tokens(tokens(i as u64, 4 + i % 9).repeat(5)),
    });
    prompts.enumerate().map(|(i, prompt)| exactly(20 + i % 23, prompt).with_logprobs(2)).collect()
}

pub(crate) fn sampled(request: GenerateRequest, seed: u64) -> GenerateRequest {
    request.with_sampling(Sampling { temperature: 0.7, seed: Some(seed), ..Sampling::default() })
}

pub(crate) fn guided(seed: u64) -> GenerateRequest {
    let schema = r#"{"type": "object", "properties": {"name": {"type": "string", "maxLength": 20},
        "words": {"type": "array", "items": {"enum": ["king", "queen", "ghost"]}, "maxItems": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["name", "words", "age"], "additionalProperties": false}"#;
    let prompt = Prompt::Tokens(tokens(seed, 9 + seed as usize % 20));
    let request = GenerateRequest::new(prompt).with_max_tokens(60 + seed as usize % 17);
    request.with_grammar(Grammar::JsonSchema(schema.to_owned()))
}

/// A request for text that cites, at least once or in each sentence.
pub(crate) fn citing(seed: u64) -> GenerateRequest {
    let required =
        if seed.is_multiple_of(2) { RequiredCitations::PerAnswer } else { RequiredCitations::PerSentence };
    guided(seed).with_grammar(Grammar::Citations(CitationGrammar { ids: vec![1, 12], required }))
}
