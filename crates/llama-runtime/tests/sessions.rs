//! Contexts that are saved, read back by another engine, and tampered with on the way.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{fs, path::Path, time::Duration};

use futures::{
    executor::block_on,
    future::{join, join_all},
};
use llama_engine::{EngineError, KeepContext, LlamaEngine, PinnedContext, Prompt};
use llama_runtime::{CandleEngine, EngineOptions, SessionError};
use support::{ask, bard, bard_dir, check_idle, exactly, tokens, within};

const LIMIT: Duration = Duration::from_secs(60);

fn pinned(engine: &CandleEngine, len: usize) -> PinnedContext {
    block_on(engine.pin(Prompt::Tokens(tokens(5, len)))).unwrap()
}

fn continued(engine: &CandleEngine, context: PinnedContext) -> (Vec<u32>, usize) {
    let answer = ask(engine, exactly(12, Prompt::Tokens(vec![7, 8])).with_context(context)).unwrap();
    (answer.tokens, answer.finished.usage.cached_tokens)
}

#[test]
fn a_restored_context_answers_as_the_saved_one_and_computes_nothing_again() {
    within(LIMIT, || {
        let (dir, engine) = (tempfile::tempdir().unwrap(), bard(EngineOptions::default()));
        for (len, block_len) in [(1, 16), (16, 16), (75, 16), (75, 5), (75, 1)] {
            let file = dir.path().join(format!("{len}-{block_len}"));
            let context = pinned(&engine, len);
            block_on(engine.save_context(&context, &file)).unwrap();
            let other = bard(EngineOptions { block_len, ..EngineOptions::default() });
            let restored = block_on(other.restore_context(&file)).unwrap();
            assert_eq!(restored.len(), len);
            let (expected, _) = continued(&engine, context);
            assert_eq!(continued(&other, restored), (expected, len), "{len} tokens in blocks of {block_len}");
            check_idle(&other);
        }
    });
}

#[test]
fn rewound_and_finished_contexts_are_saved_as_far_as_they_go() {
    within(LIMIT, || {
        let (dir, engine) = (tempfile::tempdir().unwrap(), bard(EngineOptions::default()));
        let file = dir.path().join("session");
        let request = exactly(9, Prompt::Tokens(tokens(5, 20))).with_keep(KeepContext::Yes);
        let whole = ask(&engine, request).unwrap().finished.context.unwrap();
        for context in
            [whole.clone(), whole.rewind(28).unwrap(), whole.rewind(7).unwrap(), whole.rewind(0).unwrap()]
        {
            block_on(engine.save_context(&context, &file)).unwrap();
            let other = bard(EngineOptions::default());
            let restored = block_on(other.restore_context(&file));
            if context.len() == 0 {
                assert!(matches!(restored, Err(SessionError::Damaged { .. })), "{restored:?}");
                continue;
            }
            let restored = restored.unwrap();
            assert_eq!(continued(&other, restored).0, continued(&engine, context).0);
        }
    });
}

/// Checks that a file is refused, and says how.
fn refused(engine: &CandleEngine, file: &Path) -> SessionError {
    block_on(engine.restore_context(file)).expect_err("the file is not what was saved")
}

#[test]
fn damaged_files_are_refused() {
    within(LIMIT, || {
        let (dir, engine) = (tempfile::tempdir().unwrap(), bard(EngineOptions::default()));
        let file = dir.path().join("session");
        block_on(engine.save_context(&pinned(&engine, 40), &file)).unwrap();
        let whole = fs::read(&file).unwrap();
        let step = whole.len() / 300;
        for at in (0..whole.len()).step_by(step) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&file, &bytes).unwrap();
            let error = refused(&engine, &file);
            assert!(
                !matches!(error, SessionError::Engine(_) | SessionError::Io { .. }),
                "byte {at}: {error:?}"
            );
            fs::write(&file, &whole[..at]).unwrap();
            assert!(matches!(refused(&engine, &file), SessionError::Damaged { .. }), "{at} bytes");
        }
        assert!(matches!(refused(&engine, &dir.path().join("absent")), SessionError::Io { .. }));
        assert!(matches!(refused(&engine, dir.path()), SessionError::Io { .. }));
        fs::write(&file, &whole).unwrap();
        block_on(engine.restore_context(&file)).unwrap();
    });
}

#[test]
fn sessions_of_other_models_and_other_arithmetic_are_refused() {
    within(LIMIT, || {
        let (dir, engine) = (tempfile::tempdir().unwrap(), bard(EngineOptions::default()));
        let file = dir.path().join("session");
        let context = pinned(&engine, 40);
        block_on(engine.save_context(&context, &file)).unwrap();
        let draft = bard_dir().with_file_name("bard-draft");
        let draft = block_on(CandleEngine::load(draft, EngineOptions::default())).unwrap();
        assert!(matches!(refused(&draft, &file), SessionError::Foreign { .. }));
        let kernels = llama_backend::ops::Kernels::Reference;
        let decoder = llama_models::DecoderOptions { kernels, ..Default::default() };
        let reference = bard(EngineOptions { decoder, ..EngineOptions::default() });
        assert!(matches!(refused(&reference, &file), SessionError::Foreign { .. }));
        let short = bard(EngineOptions { context_len: Some(39), ..EngineOptions::default() });
        assert!(matches!(refused(&short, &file), SessionError::Damaged { .. }));
        let error = block_on(draft.save_context(&context, &file)).unwrap_err();
        assert!(matches!(error, SessionError::Engine(EngineError::ForeignContext)), "{error:?}");
    });
}

#[test]
fn a_save_that_fails_leaves_the_older_file() {
    within(LIMIT, || {
        let (dir, engine) = (tempfile::tempdir().unwrap(), bard(EngineOptions::default()));
        let context = pinned(&engine, 20);
        let absent = dir.path().join("absent/session");
        let error = block_on(engine.save_context(&context, &absent)).unwrap_err();
        assert!(matches!(error, SessionError::Io { .. }), "{error:?}");
        let file = dir.path().join("session");
        block_on(engine.save_context(&context, &file)).unwrap();
        block_on(engine.save_context(&pinned(&engine, 30), &file)).unwrap();
        assert_eq!(block_on(engine.restore_context(&file)).unwrap().len(), 30);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
    });
}

#[test]
fn restored_contexts_take_room_from_what_runs_but_not_from_pins() {
    within(LIMIT, || {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("session");
        let engine = bard(EngineOptions::default());
        block_on(engine.save_context(&pinned(&engine, 64), &file)).unwrap();
        let options = EngineOptions { cache_tokens: Some(128), block_len: 4, ..EngineOptions::default() };
        let small = &bard(options);
        let request = |i: u64| exactly(40, Prompt::Tokens(tokens(i, 20)));
        let expected: Vec<_> = (0..6).map(|i| ask(small, request(i)).unwrap().tokens).collect();
        let answer = |i| async move { small.generate(request(i)).await?.collect().await };
        let (answers, restored) = block_on(join(join_all((0..6).map(answer)), small.restore_context(&file)));
        let restored = restored.unwrap();
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().tokens).collect();
        assert_eq!(answers, expected, "beside a context that came in between");
        let beside = pinned(small, 60);
        let foreign = block_on(engine.pin(Prompt::Tokens(tokens(9, 70)))).unwrap();
        block_on(engine.save_context(&foreign, &file)).unwrap();
        let error = block_on(small.restore_context(&file)).unwrap_err();
        assert!(matches!(error, SessionError::Engine(EngineError::DoesNotFit { .. })), "{error:?}");
        drop((restored, beside));
        block_on(small.restore_context(&file)).unwrap();
        check_idle(small);
    });
}
