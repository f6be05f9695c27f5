//! Bringing documents in, and finding them.

use futures::executor::block_on;
use llama_rag::{
    Collection, CollectionSettings, Document, Filter, Format, RagError, Ranking, Rescoring, SearchOptions,
    SplitSettings, VectorSettings, VectorType,
};

use crate::support::{bard, chunks, counts, in_memory, search, settings, sources};

const HAMLET: &str = "# Act 3\n\nTo be, or not to be, that is the question:\nWhether 'tis nobler in the mind to suffer\nThe slings and \
                      arrows of outrageous fortune,\nOr to take arms against a sea of troubles.\n\n# Act 5\n\nAlas, poor \
                      Yorick! I knew him, Horatio.";
const LEAR: &str = "Nothing will come of nothing: speak again.\n\nBlow, winds, and crack your cheeks!";

fn plays() -> Vec<Document> {
    vec![
        Document::new("plays/hamlet.md", HAMLET)
            .with_format(Format::Markdown)
            .with("year", "1601")
            .with("kind", "tragedy"),
        Document::new("plays/lear.txt", LEAR).with("year", "1606").with("kind", "tragedy"),
        Document::new("poems/sonnet.txt", "Shall I compare thee to a summer's day?").with("kind", "sonnet"),
    ]
}

#[test]
fn chunks_are_exactly_their_range_of_the_source() {
    let mut collection = in_memory();
    let report = block_on(collection.add(plays())).unwrap();
    assert_eq!((report.added, report.num_chunks), (3, collection.num_chunks()));
    assert!(report.num_tokens > 0 && collection.num_chunks() > 5, "{report:?}");
    for document in plays() {
        for chunk in collection.chunks_of(&document.source).unwrap() {
            assert_eq!(chunk.text, document.text[chunk.range.clone()]);
            assert_eq!(*chunk.source, document.source);
        }
    }
    assert!(collection.chunks_of("no such").unwrap().is_empty());
}

#[test]
fn every_ranking_finds_a_chunk_by_its_own_words() {
    let mut collection = in_memory();
    block_on(collection.add(plays())).unwrap();
    for ranking in [Ranking::Vectors, Ranking::Words, Ranking::Fused] {
        for chunk in chunks(&collection) {
            let hits = search(&collection, &chunk.text, ranking);
            assert_eq!(hits[0].chunk, chunk, "{ranking:?}");
            assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
        }
    }
}

#[test]
fn filters_come_before_the_ranking() {
    let mut collection = in_memory();
    block_on(collection.add(plays())).unwrap();
    for ranking in [Ranking::Vectors, Ranking::Words, Ranking::Fused] {
        let found = |filter: Filter, num_hits| {
            let options = SearchOptions { num_hits, ranking, filter, depth: 1 };
            let hits =
                block_on(collection.search("the question of nothing in a summer's day", &options)).unwrap();
            hits.iter().map(|hit| hit.chunk.source.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found(Filter::equals("kind", "sonnet"), 9), ["poems/sonnet.txt"], "{ranking:?}");
        let lear = found(Filter::one_of("year", ["1606", "1999"]), 2);
        assert!(
            !lear.is_empty() && lear.iter().all(|source| source == "plays/lear.txt"),
            "{ranking:?} {lear:?}"
        );
        let plays = found(Filter::under("plays"), 3);
        assert!(
            plays.len() == 3 && plays.iter().all(|source| source.starts_with("plays/")),
            "{ranking:?} {plays:?}"
        );
        assert!(found(Filter::equals("kind", "novel"), 9).is_empty(), "{ranking:?}");
    }
}

#[test]
fn only_what_changed_is_embedded() {
    let mut collection = in_memory();
    block_on(collection.add(plays())).unwrap();
    let before = chunks(&collection);
    let again = block_on(collection.add(plays())).unwrap();
    assert_eq!(counts(&again), (0, 0, 3, 0, 0));
    assert_eq!(again.num_tokens, 0);
    assert_eq!(chunks(&collection), before);

    let relabelled = plays().into_iter().map(|document| document.with("kind", "any")).collect();
    assert_eq!(counts(&block_on(collection.add(relabelled)).unwrap()), (0, 0, 3, 0, 0));
    assert_eq!(collection.metadata("plays/lear.txt").unwrap()["kind"], "any");
    assert_eq!(chunks(&collection), before);

    let changed = Document::new("plays/lear.txt", "Howl, howl, howl! O, you are men of stones.");
    let report = block_on(collection.add(vec![changed])).unwrap();
    assert_eq!(
        (report.changed, report.num_chunks),
        (1, collection.chunks_of("plays/lear.txt").unwrap().len())
    );
    assert!(search(&collection, "nothing will come", Ranking::Words).is_empty());
    assert_eq!(sources(&search(&collection, "howl", Ranking::Words)), ["plays/lear.txt"]);

    assert!(collection.remove("plays/lear.txt").unwrap());
    assert!(!collection.remove("plays/lear.txt").unwrap());
    assert!(search(&collection, "howl", Ranking::Words).is_empty());
    for chunk in chunks(&collection) {
        assert_eq!(
            search(&collection, &chunk.text, Ranking::Vectors)[0].chunk,
            chunk,
            "after rows have moved"
        );
    }
}

#[test]
fn a_changed_collection_finds_what_a_new_one_finds() {
    let mut changed = in_memory();
    block_on(changed.add(plays())).unwrap();
    changed.remove("plays/hamlet.md").unwrap();
    block_on(changed.add(vec![Document::new("a/new.txt", "Now is the winter of our discontent.")])).unwrap();
    block_on(changed.add(plays())).unwrap();
    let mut new = in_memory();
    block_on(new.add(vec![Document::new("a/new.txt", "Now is the winter of our discontent.")])).unwrap();
    block_on(new.add(plays())).unwrap();
    // Further down there are ties, and of equals the one that came in first comes first.
    for ranking in [Ranking::Vectors, Ranking::Words] {
        let texts = |collection| -> Vec<(String, f32)> {
            let hits = search(collection, "a sea of troubles in winter", ranking);
            hits.into_iter().take(4).map(|hit| (hit.chunk.text, hit.score)).collect()
        };
        assert_eq!(texts(&changed), texts(&new), "{ranking:?}");
    }
}

#[test]
fn rounded_and_cut_vectors_are_rescored_whole() {
    let nearest = |vectors| {
        let mut collection =
            Collection::in_memory(bard(), CollectionSettings { vectors, ..settings() }).unwrap();
        block_on(collection.add(plays())).unwrap();
        let hits = search(&collection, "What is nobler in the mind?", Ranking::Vectors);
        hits.into_iter().map(|hit| (hit.chunk.id, hit.score)).collect::<Vec<_>>()
    };
    let whole = VectorSettings { dimensions: None, kind: VectorType::F32, rescoring: Rescoring::Off };
    let cut = VectorSettings {
        dimensions: Some(llama_engine::Dimensions::Untrained(16)),
        kind: VectorType::Int8,
        rescoring: Rescoring::Times(100),
    };
    assert_eq!(nearest(cut), nearest(whole));
    let only_cut = nearest(VectorSettings { rescoring: Rescoring::Off, ..cut });
    assert_ne!(only_cut, nearest(whole));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut collection = in_memory();
    assert!(search(&collection, "anything", Ranking::Fused).is_empty(), "an empty collection");
    block_on(collection.add(plays())).unwrap();
    for question in ["", " \n"] {
        let found = block_on(collection.search(question, &SearchOptions::default()));
        assert!(matches!(found, Err(RagError::EmptyQuestion)), "{found:?}");
    }
    let twice = vec![Document::new("a", "one"), Document::new("a", "two")];
    let before = chunks(&collection);
    assert!(matches!(block_on(collection.add(twice)), Err(RagError::DuplicateSource { doc }) if doc == "a"));
    assert_eq!(chunks(&collection), before);
    let split = SplitSettings { max_tokens: 5000, overlap_tokens: 0 };
    let too_long = Collection::in_memory(bard(), CollectionSettings { split, ..settings() });
    assert!(matches!(too_long.err(), Some(RagError::InvalidSetting { field: "max_tokens", .. })));
    let empty = block_on(collection.add(vec![Document::new("empty", "  \n ")])).unwrap();
    assert_eq!((empty.added, empty.num_chunks), (1, 0));
}
