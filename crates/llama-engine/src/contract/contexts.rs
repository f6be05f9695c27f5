//! Clauses on pinned and kept contexts: they change what is computed, never what is answered.

use super::answer::{Answer, accepted, ask, exactly, join, listen, random, start, tokens_of};
use crate::{Event, FinishReason, KeepContext, LlamaEngine, PinnedContext, Prompt};

const CONTEXT: &str = "HAMLET.\nTo be, or not to be, that is the question: whether 'tis nobler in the mind";
const QUESTIONS: [&str; 4] = [" to suffer", "?\n\nOPHELIA.\n", " of the king,", "\n"];

/// An answer from a pin and a prompt is the answer from both as one prompt, and the pin's tokens are not computed
/// again.
///
/// # Panics
/// If the engine breaks this.
pub async fn pins_equal_prompts<E: LlamaEngine>(engine: &E) {
    let (context, pin) = pin(engine).await;
    assert_eq!(pin.len(), context.len());
    for question in QUESTIONS {
        check_from(engine, (&context, &pin), question).await;
    }
    let whole = ask(engine, exactly(12, Prompt::Tokens(context.clone()))).await;
    let bare = ask(engine, exactly(12, Prompt::Tokens(Vec::new())).with_context(pin)).await;
    assert_eq!(bare.tokens(), whole.tokens(), "from the pin alone");
    assert_eq!(bare.finished.usage.cached_tokens, context.len() - 1, "the last token's logits are computed");
}

/// Many answers may start from one pin at the same time, and do not see each other.
///
/// # Panics
/// If the engine breaks this.
pub async fn pins_serve_many_at_once<E: LlamaEngine>(engine: &E) {
    let (context, pin) = pin(engine).await;
    let request = |i: usize, tokens: Vec<u32>| {
        let request = exactly(4 + i, Prompt::Tokens(tokens));
        if i.is_multiple_of(2) { request } else { request.with_sampling(random(i as u64)) }
    };
    let mut alone = Vec::new();
    let mut questions = Vec::new();
    for i in 0..12 {
        let question = tokens_of(engine, QUESTIONS[i % QUESTIONS.len()]).await;
        alone.push(ask(engine, request(i, [&context[..], &question].concat())).await);
        questions.push(question);
    }
    let started =
        questions.into_iter().enumerate().map(|(i, question)| request(i, question).with_context(pin.clone()));
    let together = join(started.map(|request| ask(engine, request))).await;
    for (i, (alone, together)) in alone.iter().zip(&together).enumerate() {
        assert_eq!(alone.tokens(), together.tokens(), "branch {i}");
        assert_eq!(together.finished.usage.cached_tokens, context.len(), "branch {i}");
    }
}

/// A pin stays while a clone of it is there, whatever else runs, and may be dropped while an answer starts from it.
///
/// # Panics
/// If the engine breaks this.
pub async fn pins_survive_other_work<E: LlamaEngine>(engine: &E) {
    let (context, pin) = pin(engine).await;
    drop(pin.clone());
    let vocab_size = engine.info().vocab_size;
    let unrelated = |i: usize| (0..96).map(|j| ((7 * i + 13 * j + i * j) % vocab_size) as u32).collect();
    join((0..8).map(|i| ask(engine, exactly(16, Prompt::Tokens(unrelated(i)))))).await;
    check_from(engine, (&context, &pin), QUESTIONS[0]).await;
    let question = tokens_of(engine, QUESTIONS[0]).await;
    let request = exactly(12, Prompt::Tokens(question.clone())).with_context(pin);
    let last = ask(engine, request).await;
    let whole = ask(engine, exactly(12, Prompt::Tokens([context, question].concat()))).await;
    assert_eq!(last.tokens(), whole.tokens(), "from a pin whose last handle is in the request");
}

/// A context rewound to a position is the context of that many tokens; the longer one stays as it was.
///
/// # Panics
/// If the engine breaks this.
pub async fn contexts_can_be_rewound<E: LlamaEngine>(engine: &E) {
    let (context, pin) = pin(engine).await;
    for len in [0, 1, context.len() / 2, context.len() - 1, context.len()] {
        let rewound = accepted(pin.rewind(len));
        assert_eq!(rewound.len(), len);
        check_from(engine, (&context[..len], &rewound), QUESTIONS[1]).await;
    }
    check_from(engine, (&context, &pin), QUESTIONS[2]).await;
}

/// An answer continued from the context that it left is one long answer, and only its last token is computed again.
///
/// # Panics
/// If the engine breaks this.
pub async fn kept_contexts_continue_the_answer<E: LlamaEngine>(engine: &E) {
    let dropped = ask(engine, exactly(4, CONTEXT)).await;
    assert!(dropped.finished.context.is_none(), "a context that nobody asked for");
    for sampling in [Default::default(), random(5)] {
        let request = |len| exactly(len, CONTEXT).with_sampling(sampling.clone());
        let first = ask(engine, request(9).with_keep(KeepContext::Yes)).await;
        let kept = context_of(&first);
        assert_eq!(kept.len(), first.finished.usage.prompt_tokens + 9, "prompt and answer");
        let whole = ask(engine, exactly(9 + 11, CONTEXT)).await;
        let next = ask(engine, exactly(11, Prompt::Tokens(Vec::new())).with_context(kept.clone())).await;
        let usage = next.finished.usage;
        assert_eq!((usage.prompt_tokens, usage.cached_tokens), (kept.len(), kept.len() - 1), "{usage:?}");
        if sampling.temperature == 0.0 {
            assert_eq!([first.tokens(), next.tokens()].concat(), whole.tokens(), "in two parts, and in one");
        }
        let again = accepted(kept.rewind(first.finished.usage.prompt_tokens));
        let request = request(9).with_context(again);
        let again =
            ask(engine, crate::GenerateRequest { prompt: Prompt::Tokens(Vec::new()), ..request }).await;
        assert_eq!(
            again.tokens(),
            first.tokens(),
            "the answer again, from the prompt that its context begins with"
        );
    }
}

/// An interrupted answer resumes where it was, even if it had hardly begun.
///
/// # Panics
/// If the engine breaks this.
pub async fn interrupted_answers_resume<E: LlamaEngine>(engine: &E) {
    let len = engine.info().context_len / 2;
    let mut stream = start(engine, exactly(len, CONTEXT).with_keep(KeepContext::Yes)).await;
    let mut tokens = Vec::new();
    while tokens.len() < 3 {
        match accepted(stream.next_event().await) {
            Some(Event::Token(token)) => tokens.push(token.id),
            other => panic!("{other:?} instead of a token"),
        }
    }
    stream.stop();
    let interrupted = listen(stream).await;
    assert_eq!(interrupted.finished.reason, FinishReason::Interrupted);
    tokens.extend(interrupted.tokens());
    let kept = context_of(&interrupted);
    let resumed = ask(engine, exactly(10, Prompt::Tokens(Vec::new())).with_context(kept)).await;
    let usage = resumed.finished.usage;
    assert_eq!(usage.cached_tokens, usage.prompt_tokens - 1, "{usage:?}");
    let whole = ask(engine, exactly(tokens.len() + 10, CONTEXT)).await;
    assert_eq!([tokens, resumed.tokens()].concat(), whole.tokens());
    let mut stream = start(engine, exactly(len, CONTEXT).with_keep(KeepContext::Yes)).await;
    stream.stop();
    let at_once = listen(stream).await;
    let resumed = exactly(10, Prompt::Tokens(Vec::new())).with_context(context_of(&at_once));
    let resumed = ask(engine, resumed).await;
    let whole = ask(engine, exactly(at_once.events.len() + 10, CONTEXT)).await;
    assert_eq!([at_once.tokens(), resumed.tokens()].concat(), whole.tokens(), "stopped at once");
}

/// Pins the context; returns its tokens, too.
async fn pin<E: LlamaEngine>(engine: &E) -> (Vec<u32>, PinnedContext) {
    let context = tokens_of(engine, CONTEXT).await;
    let pin = accepted(engine.pin(Prompt::Tokens(context.clone())).await);
    (context, pin)
}

fn context_of(answer: &Answer) -> PinnedContext {
    match &answer.finished.context {
        Some(context) => context.clone(),
        None => panic!("no context at the end: {:?}", answer.finished),
    }
}

/// Checks an answer from a pin against the one from the whole prompt.
async fn check_from<E: LlamaEngine>(engine: &E, (context, pin): (&[u32], &PinnedContext), question: &str) {
    let question = tokens_of(engine, question).await;
    let whole = Prompt::Tokens([context, &question].concat());
    let whole = ask(engine, exactly(12, whole).with_logprobs(2)).await;
    let request = exactly(12, Prompt::Tokens(question)).with_context(pin.clone());
    let pinned = ask(engine, request.with_logprobs(2)).await;
    assert_eq!(pinned.events, whole.events, "from a pin of {}, and from one prompt", context.len());
    let usage = pinned.finished.usage;
    assert_eq!(usage.prompt_tokens, whole.finished.usage.prompt_tokens);
    assert_eq!(usage.cached_tokens, context.len(), "{usage:?}");
}
