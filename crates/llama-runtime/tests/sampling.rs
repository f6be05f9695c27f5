//! Sampling through the engine: what happens to a sequence on its way does not show, whatever parameters it has;
//! prompts are scored in chunks; processors of a caller's own; phrases and breakers.

mod support;

use candle_core::Tensor;
use futures::{StreamExt, executor::block_on, future::join_all};
use llama_engine::{
    Dry, DynamicTemperature, EngineError, Event, FinishReason, GenerateRequest, LlamaEngine, Mirostat,
    MirostatVersion, Penalties, Prompt, Sampling, TokenLogprob, TokenRules, TokenStream, Xtc,
};
use llama_runtime::{CandleEngine, EngineOptions, EngineStats};
use llama_sampling::{History, Processor, SamplingError};
use support::{ask, bard, check_idle, exactly, tokens};

/// Every parameter that goes with the others.
fn everything(seed: u64) -> Sampling {
    let version = if seed.is_multiple_of(2) { MirostatVersion::One } else { MirostatVersion::Two };
    Sampling {
        temperature: 1.5,
        dynamic_temperature: Some(DynamicTemperature::default()),
        top_k: Some(300),
        top_p: Some(0.99),
        min_p: Some(0.001),
        typical_p: Some(0.99),
        top_n_sigma: Some(5.0),
        xtc: Some(Xtc::default()),
        penalties: Penalties {
            repetition: 1.1,
            frequency: 0.2,
            presence: 0.1,
            last_n: Some(64),
            dry: Some(Dry::default()),
        },
        mirostat: Some(Mirostat { version, ..Mirostat::default() }),
        seed: Some(seed),
        ..Sampling::default()
    }
}

fn request(seed: u64, prompt_len: usize, len: usize) -> GenerateRequest {
    let rules =
        TokenRules { bias: vec![(40, 3.0)], banned: vec![50, 51], min_tokens: 3, ..TokenRules::default() };
    exactly(len, Prompt::Tokens(tokens(seed, prompt_len)))
        .with_sampling(everything(seed))
        .with_rules(rules)
        .with_logprobs(2)
        .with_prompt_logprobs(2)
}

/// A token's log-probabilities, as bits.
type Bits = Vec<(u32, u32)>;

/// Everything that a stream says of tokens: those of the prompt, then those of the answer.
async fn bits(stream: TokenStream) -> Vec<Option<Bits>> {
    let bits = |entries: Vec<TokenLogprob>| {
        entries.iter().map(|entry| (entry.id, entry.logprob.to_bits())).collect()
    };
    let events: Vec<Event> = stream.map(|event| event.expect("nothing fails here")).collect().await;
    let said = events.into_iter().flat_map(|event| match event {
        Event::Prompt(prompt) => prompt.tokens.into_iter().map(|token| token.logprobs).collect(),
        Event::Token(token) => vec![token.logprobs],
        Event::Citation(_) | Event::Finished(_) => Vec::new(),
    });
    said.map(|entries| entries.map(bits)).collect()
}

/// Runs requests at once under `options`; checks each against its run on an engine of its own. Returns the stats.
fn check(requests: &[GenerateRequest], options: EngineOptions) -> EngineStats {
    let engine = bard(options);
    let start = |engine: &CandleEngine, request: &GenerateRequest| {
        block_on(engine.generate(request.clone())).expect("a valid request")
    };
    let streams: Vec<TokenStream> = requests.iter().map(|request| start(&engine, request)).collect();
    let together = block_on(join_all(streams.into_iter().map(bits)));
    let alone = bard(EngineOptions { block_len: 1024, ..EngineOptions::default() });
    for (i, (request, together)) in requests.iter().zip(together).enumerate() {
        assert!(block_on(bits(start(&alone, request))) == together, "request {i}");
    }
    check_idle(&engine);
    block_on(engine.stats()).expect("the worker lives")
}

#[test]
fn preemption_does_not_show() {
    let requests: Vec<_> = (0..6).map(|seed| request(seed, 20 + 3 * seed as usize, 40)).collect();
    let options = EngineOptions { cache_tokens: Some(160), block_len: 4, ..EngineOptions::default() };
    let stats = check(&requests, options);
    assert!(stats.num_preemptions > 0, "{stats:?}");
}

#[test]
fn chunks_and_company_do_not_show() {
    // Longer than the rows of logits that one step computes.
    let requests: Vec<_> = (0..8).map(|seed| request(seed % 5, 5 + 50 * (seed as usize % 5), 12)).collect();
    check(&requests, EngineOptions::default());
    check(
        &requests,
        EngineOptions { max_step_tokens: 7, max_running: 5, block_len: 5, ..EngineOptions::default() },
    );
}

#[test]
fn samples_of_a_scored_prompt_answer_as_requests() {
    let engine = bard(EngineOptions::default());
    let request = request(9, 30, 16);
    let samples = block_on(engine.generate_n(request.clone(), 4)).expect("a valid request");
    let samples = block_on(join_all(samples.into_iter().map(bits)));
    for (i, sample) in samples.iter().enumerate() {
        let alone = block_on(engine.generate(request.clone().for_sample(i))).expect("a valid request");
        assert!(block_on(bits(alone)) == *sample, "sample {i}");
        assert!(i == 0 || sample[..30] == samples[0][..30], "one prompt");
        assert!(i == 0 || sample[30..] != samples[0][30..], "several answers");
    }
    check_idle(&engine);
}

#[test]
fn a_scored_prompt_leaves_the_cache_to_others_but_does_not_use_it() {
    let engine = bard(EngineOptions::default());
    let cached =
        |request: GenerateRequest| ask(&engine, request).expect("it fits").finished.usage.cached_tokens;
    let prompt = Prompt::Tokens(tokens(3, 70));
    let scored = exactly(2, prompt.clone()).with_prompt_logprobs(0);
    assert_eq!(cached(scored.clone()), 0);
    assert_eq!(cached(scored), 0, "every row is computed");
    assert_eq!(cached(exactly(2, prompt.clone())), 64, "full blocks before the last token");
    let pin = block_on(engine.pin(prompt)).expect("it fits");
    let rest = exactly(2, Prompt::Tokens(tokens(4, 9))).with_context(pin).with_prompt_logprobs(0);
    assert_eq!(cached(rest), 69, "of a context only the last row");
    check_idle(&engine);
}

/// Nothing but the token after the last one.
#[derive(Clone)]
struct Counts;

impl Processor for Counts {
    fn name(&self) -> &'static str {
        "counts"
    }

    fn process(&mut self, logits: Tensor, history: &History<'_>) -> Result<Tensor, SamplingError> {
        let mut row = vec![f32::NEG_INFINITY; logits.dims1()?];
        let last = history.tokens().last().copied().unwrap_or_default();
        row[(last as usize + 1) % 1000] = 0.0;
        Ok(Tensor::new(row, logits.device())?)
    }
}

#[test]
fn processors_of_your_own_take_part() {
    let engine = bard(EngineOptions::default());
    let request = || exactly(6, Prompt::Tokens(vec![7, 20])).with_sampling(everything(1));
    let mut names = Vec::new();
    let stream = block_on(engine.generate_with(request(), |mut processors| {
        names.extend(processors.iter().map(|processor| processor.name()));
        processors.insert(0, Box::new(Counts));
        processors
    }));
    let answer = block_on(stream.expect("a valid request").collect()).expect("nothing fails");
    assert_eq!(answer.tokens, [21, 22, 23, 24, 25, 26]);
    assert_eq!(names.len(), 10, "{names:?}");
    let same = block_on(engine.generate_with(request(), |processors| processors)).expect("a valid request");
    let same = block_on(same.collect()).expect("nothing fails").tokens;
    assert_eq!(same, ask(&engine, request()).expect("it fits").tokens);
}

/// Rules out what it has accepted.
#[derive(Clone, Default)]
struct Once(Vec<u32>);

impl Processor for Once {
    fn name(&self) -> &'static str {
        "once"
    }

    fn process(&mut self, logits: Tensor, _: &History<'_>) -> Result<Tensor, SamplingError> {
        let mut row = logits.to_vec1::<f32>()?;
        self.0.iter().for_each(|&token| row[token as usize] = f32::NEG_INFINITY);
        Ok(Tensor::new(row, logits.device())?)
    }

    fn accept(&mut self, token: u32) -> Result<(), SamplingError> {
        self.0.push(token);
        Ok(())
    }
}

#[test]
fn processors_hear_of_every_token() {
    let engine = bard(EngineOptions::default());
    let prompt = "HAMLET.\nTo be, or not to be, that is the question:";
    let different = |mut tokens: Vec<u32>| {
        tokens.sort_unstable();
        tokens.dedup();
        tokens.len()
    };
    assert!(
        different(ask(&engine, exactly(40, prompt)).expect("it fits").tokens) < 40,
        "nothing to rule out"
    );
    let once = engine.generate_with(exactly(40, prompt), |_| vec![Box::new(Once::default())]);
    let answer = block_on(async { once.await?.collect().await }).expect("nothing fails");
    assert_eq!(different(answer.tokens), 40);
}

#[test]
fn breakers_end_phrases() {
    let engine = bard(EngineOptions::default());
    let again = block_on(engine.tokenize(" be")).expect("it has text");
    let rules = TokenRules { bias: vec![(again[0], 50.0)], ..TokenRules::default() };
    let request = exactly(1, "To be, or not to be. To be, or not to").with_rules(rules);
    let next = |request| ask(&engine, request).expect("it fits").tokens;
    let against_phrases = |breakers: &[&str]| {
        let breakers = breakers.iter().map(|text| text.to_string()).collect();
        let dry = Dry { multiplier: 90.0, base: 1.0, breakers, ..Dry::default() };
        let penalties = Penalties { dry: Some(dry), ..Penalties::default() };
        next(request.clone().with_sampling(Sampling { penalties, ..Sampling::default() }))
    };
    assert_eq!(next(request.clone()), again);
    assert_ne!(against_phrases(&["\n"]), again, "the phrase a second time");
    assert_eq!(against_phrases(&["to"]), again, "no phrase goes across its last word");
}

#[test]
fn end_tokens_wait_for_the_least_length() {
    let engine = bard(EngineOptions::default());
    let end = 1;
    let rules = |min_tokens| TokenRules { bias: vec![(end, 100.0)], min_tokens, ..TokenRules::default() };
    for min_tokens in [0, 1, 7] {
        let request = GenerateRequest::new("O Romeo,").with_max_tokens(9).with_rules(rules(min_tokens));
        let answer = ask(&engine, request).expect("it fits");
        assert_eq!((answer.tokens.len(), answer.finished.reason), (min_tokens, FinishReason::EndOfText));
    }
}

#[test]
fn rules_that_leave_nothing_end_in_an_error_of_their_own() {
    let engine = bard(EngineOptions::default());
    let rules = TokenRules { allowed: Some(vec![5]), banned: vec![5], ..TokenRules::default() };
    for sampling in [Sampling::default(), everything(3)] {
        let refused = ask(&engine, exactly(4, "O Romeo,").with_rules(rules.clone()).with_sampling(sampling));
        assert!(matches!(refused, Err(EngineError::NoCandidate)), "{refused:?}");
    }
    check_idle(&engine);
}
