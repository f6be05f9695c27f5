//! Clauses on ends that are not the model's: stop texts, interruption, a dropped stream.

use super::answer::{accepted, ask, exactly, join, listen, start};
use crate::{Event, FinishReason, LlamaEngine};

const PROMPT: &str = "HAMLET.\nWhat say you to this,";

/// An answer ends before the first stop text, wherever token borders fall, and names it.
///
/// # Panics
/// If the engine breaks this.
pub async fn stop_texts_end_the_answer<E: LlamaEngine>(engine: &E) {
    let whole = ask(engine, exactly(24, PROMPT)).await;
    let text = whole.text();
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let stops: Vec<&str> = starts.windows(5).step_by(3).map(|window| &text[window[0]..window[4]]).collect();
    let mut border = 0;
    let borders: Vec<usize> =
        whole.events.iter().map(|event| (border += event.text.len(), border).1).collect();
    let crosses = |stop: &&str| {
        let at = text.find(*stop).unwrap_or_default();
        borders.iter().any(|&border| at < border && border < at + stop.len())
    };
    assert!(stops.iter().any(crosses), "no stop text of {stops:?} crosses a token border of {text:?}");
    let answers = join(stops.iter().map(|stop| ask(engine, exactly(24, PROMPT).with_stop(*stop)))).await;
    for (stop, answer) in stops.iter().zip(&answers) {
        assert_eq!(Some(answer.text().as_str()), text.split(stop).next(), "before {stop:?} in {text:?}");
        assert_eq!(answer.finished.reason, FinishReason::Stop((*stop).to_owned()), "in {text:?}");
        assert!(whole.tokens().starts_with(&answer.tokens()), "before {stop:?}");
    }
    let (late, early) = (stops[stops.len() - 1], stops[1]);
    let answer = ask(engine, exactly(24, PROMPT).with_stop(late).with_stop(early)).await;
    assert_eq!(
        Some(answer.text().as_str()),
        text.split(early).next(),
        "before {early:?}, long before {late:?}"
    );
    let absent = ask(engine, exactly(24, PROMPT).with_stop(format!("{text}!"))).await;
    assert_eq!(
        (absent.text(), absent.finished.reason),
        (text, FinishReason::MaxTokens),
        "a stop that never comes"
    );
}

/// `stop()` ends an answer early, with the reason and what there is so far; a second call changes nothing.
///
/// # Panics
/// If the engine breaks this.
pub async fn stop_interrupts<E: LlamaEngine>(engine: &E) {
    let len = engine.info().context_len / 2;
    let mut stream = start(engine, exactly(len, PROMPT)).await;
    let first = accepted(stream.next_event().await);
    let Some(Event::Token(first)) = first else { panic!("{first:?} instead of a token") };
    stream.stop();
    stream.stop();
    let rest = listen(stream).await;
    assert_eq!(rest.finished.reason, FinishReason::Interrupted, "after {} tokens", 1 + rest.events.len());
    assert_eq!(rest.finished.usage.completion_tokens, 1 + rest.events.len());
    let whole = ask(engine, exactly(1 + rest.events.len(), PROMPT)).await;
    assert_eq!(whole.text(), first.text + &rest.text(), "the answer up to the interruption");
    let mut stopped_at_once = start(engine, exactly(len, PROMPT)).await;
    stopped_at_once.stop();
    assert_eq!(listen(stopped_at_once).await.finished.reason, FinishReason::Interrupted, "at once");
}

/// A stream that is dropped, before or after its first token, leaves the engine to others.
///
/// # Panics
/// If the engine breaks this.
pub async fn dropped_streams_free_the_engine<E: LlamaEngine>(engine: &E) {
    let before = ask(engine, exactly(8, PROMPT)).await;
    let len = engine.info().context_len / 2;
    for round in 0..4 {
        let streams = join((0..16).map(|_| start(engine, exactly(len, PROMPT)))).await;
        for (i, mut stream) in streams.into_iter().enumerate() {
            if i % 4 == round {
                let event = accepted(stream.next_event().await);
                assert!(matches!(event, Some(Event::Token(_))), "{event:?}");
            }
        }
    }
    assert_eq!(ask(engine, exactly(8, PROMPT)).await.tokens(), before.tokens(), "after 64 dropped streams");
}
