//! The engine at its limits: the smallest cache, the largest numbers, callers who leave.

mod support;

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use futures::{executor::block_on, future::join_all};
use llama_engine::{
    EmbedRequest, EngineError, Event, FinishReason, GenerateRequest, KeepContext, LlamaEngine, Prompt,
};
use llama_runtime::{CandleEngine, EngineOptions, LoadError};
use support::{ask, bard, bard_dir, check_idle, exactly, tokens, within};

const LIMIT: Duration = Duration::from_secs(60);

fn options() -> EngineOptions {
    EngineOptions::default()
}

/// Checks that eight requests at once are answered as by an engine with the default options.
fn check_answers(options: EngineOptions, (prompt_len, len): (usize, usize)) {
    let (engine, usual) = (bard(options.clone()), bard(EngineOptions::default()));
    let request = |seed| exactly(len, Prompt::Tokens(tokens(seed, prompt_len)));
    let answer = |request| async { engine.generate(request).await?.collect().await };
    let together = block_on(join_all((0..8).map(|seed| answer(request(seed)))));
    for (seed, answer) in (0..).zip(together) {
        let expected = ask(&usual, request(seed)).expect("it fits");
        assert_eq!(answer.expect("it fits").tokens, expected.tokens, "{options:?}");
    }
    check_idle(&engine);
}

#[test]
fn odd_sizes_change_no_answer() {
    check_answers(EngineOptions { block_len: 1, ..options() }, (9, 6));
    check_answers(EngineOptions { block_len: 1000, ..options() }, (9, 6));
    check_answers(EngineOptions { max_running: 1, ..options() }, (9, 6));
    check_answers(EngineOptions { max_step_tokens: 1, ..options() }, (9, 6));
    check_answers(EngineOptions { cache_tokens: Some(1), ..options() }, (9, 7));
    check_answers(EngineOptions { cache_tokens: Some(16), block_len: 1, ..options() }, (9, 7));
    check_answers(EngineOptions { context_len: Some(2), ..options() }, (1, 1));
}

#[test]
fn a_context_of_one_token_refuses_with_the_numbers() {
    for options in [
        EngineOptions { context_len: Some(1), ..options() },
        EngineOptions { cache_tokens: Some(1), block_len: 1, ..options() },
    ] {
        let engine = bard(options);
        let refused = ask(&engine, GenerateRequest::new(Prompt::Tokens(vec![5])));
        assert!(
            matches!(refused, Err(EngineError::ContextTooLong { needed: 2, context_len: 1 })),
            "{refused:?}"
        );
        let pin = block_on(engine.pin(Prompt::Tokens(vec![5]))).expect("one token fits");
        drop(pin);
        check_idle(&engine);
    }
}

#[test]
fn sizes_of_no_machine_are_refused() {
    let load = |options| block_on(CandleEngine::load(bard_dir(), options)).map(|_| ());
    for options in [
        EngineOptions { cache_tokens: Some(usize::MAX), ..options() },
        EngineOptions { block_len: usize::MAX, ..options() },
        EngineOptions { cache_tokens: Some(1 << 33), ..options() },
        EngineOptions { block_len: 0, ..options() },
        EngineOptions { max_running: 0, ..options() },
    ] {
        let outcome = load(options.clone());
        assert!(matches!(outcome, Err(LoadError::Option { .. })), "{outcome:?} for {options:?}");
    }
    // Whether memory for 12 TB can be promised depends on the machine; that it is asked for must not end the process.
    let _ = load(EngineOptions { cache_tokens: Some(u32::MAX as usize - 16), ..options() });
}

#[test]
fn a_thousand_streams_at_once_are_all_answered() {
    within(LIMIT, || {
        let engine = bard(options());
        let answers = block_on(join_all((0..1000).map(|seed| {
            let request = exactly(3, Prompt::Tokens(tokens(seed % 10, 12)));
            let engine = &engine;
            async move { engine.generate(request).await?.collect().await }
        })));
        for (i, answer) in answers.iter().enumerate() {
            let answer = answer.as_ref().expect("a thousand may wait");
            assert_eq!(answer.tokens, answers[i % 10].as_ref().expect("checked").tokens);
        }
        check_idle(&engine);
    });
}

#[test]
fn a_full_queue_is_said_and_empties() {
    within(LIMIT, || {
        let engine = bard(EngineOptions { max_waiting: 8, max_running: 1, ..options() });
        let request = || exactly(200, Prompt::Tokens(tokens(3, 12)));
        let (mut streams, mut refused) = (Vec::new(), 0);
        for _ in 0..40 {
            match block_on(engine.generate(request())) {
                Ok(stream) => streams.push(stream),
                Err(EngineError::Overloaded { limit: 8 }) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(refused >= 30 && streams.len() >= 8, "{refused} refused, {} taken", streams.len());
        drop(streams);
        check_idle(&engine);
        assert!(ask(&engine, exactly(2, "O")).is_ok());
    });
}

#[test]
fn streams_outlive_the_engine_and_pins_do_not_hold_it() {
    within(LIMIT, || {
        let engine = bard(options());
        let pin = block_on(engine.pin(Prompt::from("The king"))).expect("it fits");
        let expected = ask(&engine, exactly(30, "O Romeo,")).expect("it fits").tokens;
        let streams: Vec<_> =
            (0..5).map(|_| block_on(engine.generate(exactly(30, "O Romeo,"))).expect("it fits")).collect();
        let from_pin =
            exactly(5, Prompt::Tokens(Vec::new())).with_context(pin.clone()).with_keep(KeepContext::Yes);
        let from_pin = block_on(engine.generate(from_pin)).expect("it fits");
        let other = bard(options());
        drop(engine);
        for stream in streams {
            assert_eq!(block_on(stream.collect()).expect("it goes on").tokens, expected);
        }
        let kept =
            block_on(from_pin.collect()).expect("it goes on").finished.context.expect("it was asked for");
        for foreign in [pin, kept] {
            let refused = ask(&other, exactly(5, "x").with_context(foreign));
            assert!(matches!(refused, Err(EngineError::ForeignContext)), "{refused:?}");
        }
    });
}

/// Polls once.
fn is_pending<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[test]
fn an_answer_does_not_wait_for_texts_that_were_asked_for_before() {
    within(LIMIT, || {
        let engine = bard(options());
        let texts = vec!["O for a Muse of fire, that would ascend the brightest heaven of invention"; 4000];
        let mut many = Box::pin(engine.embed(EmbedRequest::new(texts)));
        assert!(is_pending(many.as_mut()));
        for i in 0..5 {
            ask(&engine, exactly(20, Prompt::Tokens(tokens(i, 12)))).expect("it fits");
        }
        assert!(is_pending(many.as_mut()), "five answers waited for 4000 texts");
        let few = block_on(engine.embed(EmbedRequest::new(["a few", "texts"]))).expect("they fit");
        assert_eq!(few.vectors.len(), 2);
        assert!(is_pending(many.as_mut()), "two texts waited for 4000");
        drop(many);
        check_idle(&engine);
    });
}

#[test]
fn texts_do_not_wait_for_answers_that_go_on() {
    within(LIMIT, || {
        let engine = bard(EngineOptions { max_running: 8, ..options() });
        let mut streams: Vec<_> = (0..6)
            .map(|seed| {
                let request = exactly(400, Prompt::Tokens(tokens(seed, 12)));
                block_on(engine.generate(request)).expect("it fits")
            })
            .collect();
        let texts = vec!["O for a Muse of fire"; 20];
        let embedded = block_on(engine.embed(EmbedRequest::new(texts))).expect("they fit");
        assert_eq!(embedded.vectors.len(), 20);
        let stats = block_on(engine.stats()).expect("the worker lives");
        assert_eq!(stats.num_running, 6, "the texts waited for the answers: {stats:?}");
        streams.clear();
        check_idle(&engine);
    });
}

/// Waits until the thread that holds `handle` has let go of it.
fn wait_for_last(handle: &Arc<Mutex<()>>) -> bool {
    let started = Instant::now();
    while Arc::strong_count(handle) > 1 {
        if started.elapsed() > Duration::from_secs(10) {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

#[test]
fn a_load_that_nobody_waits_for_leaves_no_worker() {
    // The progress callback lives as long as the worker's thread.
    let alive = Arc::new(Mutex::new(()));
    let (ready, is_ready) = std::sync::mpsc::channel();
    let callback = alive.clone();
    let mut load = Box::pin(CandleEngine::load_with_progress(bard_dir(), options(), move |stage| {
        let _ = (&callback, ready.send(stage));
    }));
    let polled = load.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Pending), "{polled:?}");
    while is_ready.recv().is_ok_and(|stage| stage != llama_runtime::LoadStage::Ready) {}
    thread::sleep(Duration::from_millis(50));
    drop(load);
    assert!(wait_for_last(&alive), "the worker still runs");
}

#[test]
fn a_dropped_engine_ends_its_worker() {
    let alive = Arc::new(Mutex::new(()));
    let callback = alive.clone();
    let on_stage = move |_| drop(callback.lock());
    let engine =
        block_on(CandleEngine::load_with_progress(bard_dir(), options(), on_stage)).expect("bard loads");
    let pin = block_on(engine.pin(Prompt::from("x"))).expect("it fits");
    drop((engine.clone(), engine));
    assert!(wait_for_last(&alive), "the worker still runs");
    drop(pin);
}

#[test]
fn pins_fill_the_cache_and_no_more() {
    within(LIMIT, || {
        let engine =
            bard(EngineOptions { cache_tokens: Some(64), block_len: 4, context_len: Some(64), ..options() });
        let pin = |seed, len| block_on(engine.pin(Prompt::Tokens(tokens(seed, len))));
        let too_long = pin(1, 65);
        assert!(
            matches!(too_long, Err(EngineError::ContextTooLong { needed: 65, context_len: 64 })),
            "{too_long:?}"
        );
        let first = pin(1, 40).expect("ten of sixteen blocks");
        for _ in 0..3 {
            let refused = pin(2, 40);
            let Err(EngineError::DoesNotFit { needed_blocks, available_blocks, total_blocks }) = refused
            else {
                panic!("{refused:?}");
            };
            assert_eq!((needed_blocks, available_blocks, total_blocks), (10, 6, 16));
        }
        let second = pin(2, 24).expect("the six others");
        let refused = ask(&engine, exactly(2, Prompt::Tokens(tokens(3, 3))));
        assert!(matches!(refused, Err(EngineError::DoesNotFit { .. })), "{refused:?}");
        drop(second);
        let from_first = exactly(20, Prompt::Tokens(tokens(3, 3))).with_context(first.clone());
        let answer = ask(&engine, from_first).expect("six blocks are free again");
        let whole = exactly(20, Prompt::Tokens([tokens(1, 40), tokens(3, 3)].concat()));
        assert_eq!(answer.tokens, ask(&bard(options()), whole).expect("it fits").tokens);
        drop(first);
        check_idle(&engine);
    });
}

#[test]
fn a_pin_dropped_while_answers_start_from_it_serves_them_all() {
    within(LIMIT, || {
        let engine =
            bard(EngineOptions { cache_tokens: Some(128), block_len: 4, max_running: 3, ..options() });
        let expected = ask(&engine, exactly(20, Prompt::Tokens(tokens(1, 50)))).expect("it fits").tokens;
        for _ in 0..5 {
            let pin = block_on(engine.pin(Prompt::Tokens(tokens(1, 50)))).expect("it fits");
            let request = exactly(20, Prompt::Tokens(Vec::new())).with_context(pin);
            let streams: Vec<_> =
                (0..9).map(|_| block_on(engine.generate(request.clone())).expect("it fits")).collect();
            // Others, who take the blocks that the pin no longer holds.
            drop(request);
            let others =
                (0..4).map(|seed| block_on(engine.generate(exactly(30, Prompt::Tokens(tokens(seed, 40))))));
            let others: Vec<_> = others.map(|stream| stream.expect("it fits")).collect();
            for answer in block_on(join_all(streams.into_iter().map(|stream| stream.collect()))) {
                assert_eq!(answer.expect("nobody is refused").tokens, expected);
            }
            drop(others);
        }
        check_idle(&engine);
    });
}

#[test]
fn stop_at_any_moment_ends_once() {
    within(LIMIT, || {
        let engine = bard(EngineOptions { max_running: 2, ..options() });
        for round in 0..30 {
            let requests = (0..4).map(|_| exactly(5, "O Romeo,").with_keep(KeepContext::Yes));
            let mut streams: Vec<_> =
                requests.map(|request| block_on(engine.generate(request)).expect("it fits")).collect();
            for (i, stream) in streams.iter_mut().enumerate() {
                for _ in 0..(round + i) % 5 {
                    let event = block_on(stream.next_event()).expect("nothing fails");
                    assert!(matches!(event, Some(Event::Token(_))), "{event:?}");
                }
                stream.stop();
                stream.stop();
            }
            for stream in streams {
                let finished = block_on(stream.collect()).expect("nothing fails").finished;
                assert!(matches!(finished.reason, FinishReason::Interrupted | FinishReason::MaxTokens));
                assert!(finished.context.is_some(), "{finished:?}");
            }
        }
        check_idle(&engine);
    });
}
