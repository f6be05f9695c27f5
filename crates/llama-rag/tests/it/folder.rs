//! Folders as they come: with changes, and with what is no text.

use std::fs;

use futures::executor::block_on;
use llama_rag::{FolderOptions, RagError, SkipReason};

use crate::support::{counts, in_memory, sync, write};

#[test]
fn a_collection_follows_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            ("a.md", b"# One\n\nText."),
            ("deep/er/b.txt", b"Two."),
            ("c.txt", b"Three."),
            ("image.png", b"PNG"),
            (".hidden/d.txt", b"Four."),
        ],
    );
    let mut collection = in_memory();
    block_on(collection.add(vec![llama_rag::Document::new("by hand", "Five.")])).unwrap();
    assert_eq!(counts(&sync(&mut collection, folder.path())), (3, 0, 0, 0, 3));
    assert_eq!(collection.sources().collect::<Vec<_>>(), ["a.md", "by hand", "c.txt", "deep/er/b.txt"]);
    assert_eq!(counts(&sync(&mut collection, folder.path())), (0, 0, 3, 0, 0));
    fs::remove_file(folder.path().join("c.txt")).unwrap();
    write(folder.path(), &[("a.md", b"# Other"), ("e.txt", b"Six.")]);
    assert_eq!(counts(&sync(&mut collection, folder.path())), (1, 1, 1, 1, 2));
    assert_eq!(collection.sources().collect::<Vec<_>>(), ["a.md", "by hand", "deep/er/b.txt", "e.txt"]);
    let named = FolderOptions { name: "second".to_owned(), ..FolderOptions::default() };
    block_on(collection.sync_folder(folder.path(), &named)).unwrap();
    assert_eq!(collection.num_documents(), 7);
    assert_eq!(
        counts(&sync(&mut collection, folder.path())),
        (0, 0, 3, 0, 0),
        "two folders leave each other alone"
    );
}

#[test]
fn an_empty_folder_empties_and_a_missing_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a.md", b"Text.")]);
    let mut collection = in_memory();
    sync(&mut collection, folder.path());
    fs::remove_file(folder.path().join("a.md")).unwrap();
    assert_eq!(counts(&sync(&mut collection, folder.path())), (0, 0, 0, 1, 0));
    let missing = block_on(collection.sync_folder(folder.path().join("no"), &FolderOptions::default()));
    assert!(matches!(missing, Err(RagError::Folder { .. })), "{missing:?}");
}

#[test]
fn what_is_no_text_is_skipped_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            ("good.txt", "Gut: größer.".as_bytes()),
            ("binary.txt", b"a\0b"),
            ("latin1.txt", b"gr\xf6\xdfer"),
            ("huge.txt", &[b'x'; 2000]),
        ],
    );
    let options = FolderOptions { max_file_bytes: 1000, ..FolderOptions::default() };
    let mut collection = in_memory();
    let report = block_on(collection.sync_folder(folder.path(), &options)).unwrap();
    let mut skipped: Vec<String> = report
        .skipped
        .iter()
        .map(|skipped| format!("{}: {}", skipped.path.display(), skipped.reason))
        .collect();
    skipped.sort();
    assert_eq!(
        skipped,
        ["binary.txt: not a text", "huge.txt: larger than 1000 bytes", "latin1.txt: not in UTF-8"]
    );
    assert_eq!(collection.sources().collect::<Vec<_>>(), ["good.txt"]);
}

#[cfg(unix)]
#[test]
fn links_stay_outside_and_circles_end() {
    use std::os::unix::fs::symlink;

    use llama_rag::Links;

    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), &[("secret.txt", b"Secret.")]);
    write(folder.path(), &[("a/text.txt", b"Text.")]);
    symlink(folder.path(), folder.path().join("a/circle")).unwrap();
    symlink(outside.path().join("secret.txt"), folder.path().join("link.txt")).unwrap();
    let mut collection = in_memory();
    let report = sync(&mut collection, folder.path());
    assert_eq!(collection.sources().collect::<Vec<_>>(), ["a/text.txt"]);
    assert_eq!(report.skipped.len(), 2, "{report:?}");
    let follow = FolderOptions { links: Links::Follow, ..FolderOptions::default() };
    let report = block_on(collection.sync_folder(folder.path(), &follow)).unwrap();
    assert_eq!(collection.sources().collect::<Vec<_>>(), ["a/text.txt", "link.txt"]);
    assert!(
        matches!(report.skipped[..], [llama_rag::Skipped { reason: SkipReason::Link, .. }]),
        "{report:?}"
    );
}

/// As with a network folder that is gone for a while.
#[cfg(unix)]
#[test]
fn what_cannot_be_read_now_keeps_what_was_known() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a/text.txt", b"Text."), ("b.txt", b"More.")]);
    let mut collection = in_memory();
    let follow = FolderOptions { links: llama_rag::Links::Follow, ..FolderOptions::default() };
    block_on(collection.sync_folder(folder.path(), &follow)).unwrap();
    // A link to nowhere cannot be opened, whoever asks.
    fs::remove_file(folder.path().join("b.txt")).unwrap();
    symlink("nowhere", folder.path().join("b.txt")).unwrap();
    let report = block_on(collection.sync_folder(folder.path(), &follow)).unwrap();
    assert!(
        matches!(report.skipped[..], [llama_rag::Skipped { reason: SkipReason::Unreadable(_), .. }]),
        "{report:?}"
    );
    assert_eq!((report.removed, collection.num_documents()), (0, 2));
}
