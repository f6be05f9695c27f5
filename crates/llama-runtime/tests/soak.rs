//! Two thousand random requests on a cache that is far too small for them: every answer is the one it has alone, and
//! nothing is left behind.

mod support;

use std::{cell::RefCell, collections::HashMap, time::Duration};

use futures::{StreamExt, executor::block_on, stream};
use llama_engine::{
    EndOfText, Event, FinishReason, GenerateRequest, KeepContext, LlamaEngine, PinnedContext, Prompt,
    Sampling,
};
use llama_runtime::{
    CandleEngine, EngineOptions,
    speculation::{DrafterChoice, PromptLookup, SpeculationOptions},
};
use support::{Random, bard, check_idle, tokens, within};

const NUM_REQUESTS: usize = 2000;
const NUM_AT_ONCE: usize = 24;
/// Requests between two changes of a pin.
const PIN_EVERY: usize = 40;

/// What is asked, without how: the answer depends on this alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    /// Few different ones that begin alike, so that prefixes are shared and evicted.
    prompt: usize,
    max_tokens: usize,
    /// 0 is greedy.
    seed: u64,
    stops: bool,
}

/// What the caller does to the stream.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Caller {
    Listens,
    DropsAfter(usize),
    StopsAfter(usize),
    Keeps,
}

/// What was heard.
#[derive(Clone, Debug, PartialEq)]
struct Heard {
    tokens: Vec<u32>,
    text: String,
    reason: FinishReason,
}

impl Question {
    fn random(random: &mut Random) -> Self {
        Self {
            prompt: random.below(12),
            max_tokens: [1, 5, 12, 12, 24, 40][random.below(6)],
            seed: [0, 0, 1, 2][random.below(4)],
            stops: random.below(4) == 0,
        }
    }

    /// Prompts of 20 to 75 tokens: a common beginning of 16, or 8 of them, and a tail of their own.
    fn tokens(&self) -> Vec<u32> {
        let shared = tokens(1, if self.prompt.is_multiple_of(3) { 8 } else { 16 });
        [shared, tokens(100 + self.prompt as u64, 4 + 5 * self.prompt)].concat()
    }

    fn request(&self, prompt: Vec<u32>) -> GenerateRequest {
        let warm =
            Sampling { temperature: 0.9, top_p: Some(0.95), seed: Some(self.seed), ..Sampling::default() };
        let mut request = GenerateRequest::new(Prompt::Tokens(prompt)).with_max_tokens(self.max_tokens);
        request.sampling = if self.seed == 0 { Sampling::default() } else { warm };
        if self.stops {
            request.with_stop("e ").with_stop(".\n")
        } else {
            request.with_end(EndOfText::Ignored)
        }
    }
}

/// Listens as the caller does; `None` if it hung up.
async fn hear(
    engine: &CandleEngine,
    request: GenerateRequest,
    caller: Caller,
) -> Option<(Heard, Option<PinnedContext>)> {
    let keep = if caller == Caller::Keeps { KeepContext::Yes } else { KeepContext::No };
    let mut stream = engine.generate(request.with_keep(keep)).await.expect("a valid request");
    let (mut tokens, mut text) = (Vec::new(), String::new());
    loop {
        match caller {
            Caller::DropsAfter(len) if tokens.len() == len => return None,
            Caller::StopsAfter(len) if tokens.len() == len => stream.stop(),
            _ => {}
        }
        match stream.next_event().await.expect("nothing fails here").expect("a stream ends with an end") {
            event @ (Event::Prompt(_) | Event::Citation(_)) => panic!("nobody asked for {event:?}"),
            Event::Token(token) => {
                tokens.push(token.id);
                text.push_str(&token.text);
            }
            Event::Finished(finished) => {
                text.push_str(&finished.text);
                return Some((Heard { tokens, text, reason: finished.reason }, finished.context));
            }
        }
    }
}

/// The engine under test, and what each question is answered alone.
struct Soak {
    engine: CandleEngine,
    alone: CandleEngine,
    known: RefCell<HashMap<Question, Heard>>,
    pins: RefCell<HashMap<usize, PinnedContext>>,
    num_kept: RefCell<usize>,
}

impl Soak {
    async fn expected(&self, question: &Question) -> Heard {
        if let Some(heard) = self.known.borrow().get(question) {
            return heard.clone();
        }
        let request = question.request(question.tokens());
        let (heard, _) = hear(&self.alone, request, Caller::Listens).await.expect("it listens");
        self.known.borrow_mut().insert(question.clone(), heard.clone());
        heard
    }

    /// One request, from a pin if its prompt has one.
    async fn run(&self, question: Question, mut caller: Caller) {
        if caller == Caller::Keeps && *self.num_kept.borrow() == 2 {
            caller = Caller::Listens;
        }
        *self.num_kept.borrow_mut() += usize::from(caller == Caller::Keeps);
        let pin = self.pins.borrow().get(&question.prompt).cloned();
        let mut tokens = question.tokens();
        let request = match pin {
            Some(pin) => question.request(tokens.split_off(pin.len())).with_context(pin),
            None => question.request(tokens),
        };
        let heard = hear(&self.engine, request, caller).await;
        let expected = self.expected(&question).await;
        if let Some((heard, context)) = heard {
            check(&question, caller, (&heard, &expected));
            if let Some(context) = context {
                self.check_kept(&question, &heard, context).await;
            }
        }
        *self.num_kept.borrow_mut() -= usize::from(caller == Caller::Keeps);
    }

    /// Rewinds a kept context to the prompt and hears the same answer.
    async fn check_kept(&self, question: &Question, heard: &Heard, context: PinnedContext) {
        let prompt = context.rewind(question.tokens().len()).expect("the context begins with the prompt");
        drop(context);
        let request = question.request(Vec::new()).with_context(prompt);
        let again = hear(&self.engine, request, Caller::Listens).await;
        assert_eq!(again.map(|(again, _)| again).as_ref(), Some(heard), "{question:?} again");
    }

    /// Pins the prompt of one question, or some of it, and unpins another; those who start from it keep it.
    async fn change_pins(&self, random: &mut Random) {
        let question = Question::random(random);
        let mut tokens = question.tokens();
        tokens.truncate(1 + random.below(tokens.len()));
        let pin = self.engine.pin(Prompt::Tokens(tokens)).await.expect("it fits");
        let mut pins = self.pins.borrow_mut();
        pins.insert(question.prompt, pin);
        let oldest = (0..12).map(|_| random.below(12)).find(|prompt| pins.contains_key(prompt));
        if let Some(oldest) = oldest.filter(|_| pins.len() > 3) {
            pins.remove(&oldest);
        }
    }
}

fn check(question: &Question, caller: Caller, (heard, expected): (&Heard, &Heard)) {
    if heard.reason != FinishReason::Interrupted {
        assert_eq!(heard, expected, "{question:?}, {caller:?}");
        return;
    }
    assert!(
        matches!(caller, Caller::StopsAfter(_)),
        "{question:?} was interrupted, but the caller {caller:?}"
    );
    assert!(expected.tokens.starts_with(&heard.tokens), "{question:?}, {caller:?}");
    assert!(expected.text.starts_with(&heard.text) || question.stops, "{question:?}, {caller:?}");
}

fn soak(seed: u64, drafter: Option<DrafterChoice>) {
    let options = EngineOptions {
        // With costs that a clock measures: they must not show.
        speculation: drafter.map(SpeculationOptions::new),
        cache_tokens: Some(400),
        block_len: 4,
        max_step_tokens: 48,
        max_running: 16,
        ..EngineOptions::default()
    };
    let (engine, alone) = (bard(options), bard(EngineOptions::default()));
    let soak = Soak {
        engine,
        alone,
        known: RefCell::default(),
        pins: RefCell::default(),
        num_kept: RefCell::default(),
    };
    let mut random = Random(seed);
    block_on(async {
        for _ in 0..NUM_REQUESTS / PIN_EVERY {
            let requests: Vec<_> = (0..PIN_EVERY)
                .map(|_| {
                    let caller = match random.below(10) {
                        0 | 1 => Caller::DropsAfter(random.below(12)),
                        2 => Caller::StopsAfter(random.below(12)),
                        3 => Caller::Keeps,
                        _ => Caller::Listens,
                    };
                    soak.run(Question::random(&mut random), caller)
                })
                .collect();
            let all = stream::iter(requests).buffer_unordered(NUM_AT_ONCE).collect::<Vec<()>>();
            let mut pins = Random(random.below(usize::MAX) as u64);
            futures::future::join(all, soak.change_pins(&mut pins)).await;
        }
    });
    let stats = block_on(soak.engine.stats()).expect("the worker lives");
    println!("{stats:?}, {} different questions", soak.known.borrow().len());
    assert!(
        stats.num_preemptions > 0 && stats.cache.evictions > 0 && stats.cache.hit_tokens > 0,
        "{stats:?}"
    );
    soak.pins.borrow_mut().clear();
    check_idle(&soak.engine);
}

#[test]
fn two_thousand_requests_are_answered_as_alone() {
    within(Duration::from_secs(300), || soak(17, None));
}

#[test]
fn drafts_of_a_model_do_not_show() {
    let draft = support::bard_dir().with_file_name("bard-draft");
    within(Duration::from_secs(300), || soak(18, Some(DrafterChoice::Model(draft))));
}

#[test]
fn drafts_from_what_was_said_do_not_show() {
    let lookup = DrafterChoice::PromptLookup(PromptLookup::default());
    within(Duration::from_secs(300), || soak(19, Some(lookup)));
}
