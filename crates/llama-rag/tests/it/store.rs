//! Stores on disk: opened again, opened twice, opened with other settings, damaged.

use std::{fs, path::Path};

use futures::executor::block_on;
use llama_rag::{
    Collection, CollectionSettings, Document, RagError, Ranking, Rescoring, SplitSettings, VectorSettings,
    VectorType,
};

use crate::support::{bard, chunks, open, search, settings};

fn filled(path: &Path) {
    let text = "Full fathom five thy father lies;\n\nOf his bones are coral made;\n\nThose are pearls that were his eyes.";
    let documents = (0..8).map(|i| Document::new(format!("song {i}"), format!("{i}. {text}"))).collect();
    block_on(open(path).add(documents)).unwrap();
}

#[test]
fn a_store_opens_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for vectors in [
        VectorSettings::default(),
        VectorSettings { kind: VectorType::F16, rescoring: Rescoring::Off, ..VectorSettings::default() },
    ] {
        let _ = fs::remove_file(&path);
        let open = || Collection::open(&path, bard(), CollectionSettings { vectors, ..settings() }).unwrap();
        let mut first = open();
        block_on(first.add(vec![
            Document::new("b", "Full fathom five thy father lies. Of his bones are coral made."),
            Document::new("a", "Those are pearls that were his eyes.").with("by", "Ariel"),
        ]))
        .unwrap();
        let look = |collection: &Collection<_>| {
            let hits = [Ranking::Vectors, Ranking::Words, Ranking::Fused]
                .map(|ranking| search(collection, "the pearls", ranking));
            (chunks(collection), hits, collection.metadata("a").cloned())
        };
        let before = look(&first);
        drop(first);
        assert_eq!(look(&open()), before, "{vectors:?}");
    }
}

#[test]
fn other_settings_are_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    filled(&path);
    let refused = |settings: CollectionSettings| match Collection::open(&path, bard(), settings).err() {
        Some(error @ RagError::SettingsMismatch { field, .. }) => {
            assert!(error.to_string().contains("index into a new file"), "{error}");
            field
        }
        other => panic!("{other:?}"),
    };
    let split = SplitSettings { max_tokens: 25, overlap_tokens: 0 };
    assert_eq!(refused(CollectionSettings { split, ..settings() }), "chunk size");
    let split = SplitSettings { overlap_tokens: 3, ..settings().split };
    assert_eq!(refused(CollectionSettings { split, ..settings() }), "chunk overlap");
    let vectors = VectorSettings { rescoring: Rescoring::Off, ..VectorSettings::default() };
    assert_eq!(refused(CollectionSettings { vectors, ..settings() }), "stored vectors");
    let rounded = VectorSettings { kind: VectorType::F16, ..VectorSettings::default() };
    let reopened = Collection::open(&path, bard(), CollectionSettings { vectors: rounded, ..settings() });
    assert!(reopened.is_ok(), "whole vectors can be rounded in any way");
}

#[test]
fn a_store_belongs_to_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let first = open(&path);
    let second = Collection::open(&path, bard(), settings());
    assert!(matches!(second.err(), Some(RagError::StoreInUse { .. })));
    drop(first);
    open(&path);
}

#[test]
fn files_that_are_no_store_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for content in [&b"# Notes\n"[..], &[0; 8192], b"redb"] {
        fs::write(&path, content).unwrap();
        let opened = Collection::open(&path, bard(), settings());
        assert!(matches!(opened.err(), Some(RagError::StoreDamaged { .. })), "{content:?}");
    }
    let opened = Collection::open(folder.path(), bard(), settings());
    assert!(matches!(opened.err(), Some(RagError::Store { .. } | RagError::StoreDamaged { .. })), "a folder");
}

/// Whatever is broken in the file: it opens as it was, or not at all.
#[test]
fn torn_and_changed_stores_open_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    filled(&path);
    let whole = fs::read(&path).unwrap();
    let before = chunks(&open(&path));
    let engine = bard();
    let mut random = 7u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) as usize % below
    };
    let mut num_refused = 0;
    for case in 0..300 {
        let mut broken = whole.clone();
        match case % 3 {
            0 => broken.truncate(next(whole.len())),
            1 => (0..=next(40)).for_each(|_| broken[next(whole.len())] ^= 1 << next(8)),
            _ => {
                let start = next(whole.len() - 600);
                let len = 1 + next(600);
                broken[start..start + len].fill(next(256) as u8);
            }
        }
        fs::write(&path, &broken).unwrap();
        match Collection::open(&path, engine.clone(), settings()) {
            Ok(opened) => {
                match opened.sources().map(|source| opened.chunks_of(source)).collect::<Result<Vec<_>, _>>() {
                    Ok(found) => assert!(found.is_empty() || found.concat() == before, "case {case}"),
                    Err(error) => {
                        assert!(matches!(error, RagError::StoreDamaged { .. }), "case {case}: {error:?}")
                    }
                }
            }
            Err(RagError::StoreDamaged { .. } | RagError::Store { .. }) => num_refused += 1,
            Err(error) => panic!("case {case}: {error:?}"),
        }
    }
    assert!(num_refused > 50, "{num_refused} of 300 were refused");
}
