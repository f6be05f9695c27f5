//! The approximate index: it finds what a scan finds, follows changes, and is there again whatever became of its file.

use std::{collections::BTreeSet, fs, path::Path};

use futures::executor::block_on;
use llama_engine::Dimensions;
use llama_rag::{
    Collection, CollectionSettings, Document, Filter, Ranking, Rescoring, SearchOptions, VectorSettings,
    VectorType,
};
use llama_runtime::CandleEngine;

use crate::support::{bard, chunks, search, settings, sources};

const FROM: usize = 50;

fn ship(i: usize) -> Document {
    let text = format!("Ship {i} has {} masts, {} sails and {} guns.", i % 5, i % 13, i % 31);
    Document::new(format!("ships/{i}"), text).with("masts", (i % 5).to_string())
}

fn open(path: &Path, approximate_from: Option<usize>, vectors: VectorSettings) -> Collection<CandleEngine> {
    Collection::open(path, bard(), CollectionSettings { approximate_from, vectors, ..settings() }).unwrap()
}

/// Of 20 questions at least 18 have the same answers, for their nearest may be missed.
fn check(collection: &Collection<CandleEngine>, scanned: &Collection<CandleEngine>) {
    assert!(collection.has_graph() && !scanned.has_graph());
    let questions = (0..20).map(|i| format!("ship {i} with {} sails", i % 13));
    let found =
        questions.map(|question| [collection, scanned].map(|it| search(it, &question, Ranking::Vectors)));
    let others: Vec<_> = found.filter(|[found, expected]| found != expected).collect();
    assert!(others.len() <= 2, "{} of 20 differ, the first: {:#?}", others.len(), others[0]);
}

/// Two collections of the same changes, one with a graph. In all 400 chunks remain, of which a search rescores 20.
fn pair(home: &Path, vectors: VectorSettings) -> [Collection<CandleEngine>; 2] {
    [("graph", Some(FROM)), ("scan", None)].map(|(name, from)| {
        let mut collection = open(&home.join(name), from, vectors);
        block_on(collection.add((0..420).map(ship).collect())).unwrap();
        (0..420).step_by(7).for_each(|i| assert!(collection.remove(&format!("ships/{i}")).unwrap()));
        block_on(collection.add((420..460).map(ship).collect())).unwrap();
        collection
    })
}

#[test]
fn a_graph_follows_changes_and_survives_its_file() {
    let home = tempfile::tempdir().unwrap();
    let vectors = VectorSettings::default();
    let [graph, scan] = pair(home.path(), vectors);
    check(&graph, &scan);
    let chunks = chunks(&graph);
    drop(graph);
    let (store, file) = (home.path().join("graph"), home.path().join("graph.graph"));
    let saved = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = saved.clone();
        bytes[at] ^= 0x40;
        Some(bytes)
    };
    let garbage = vec![0xff; saved.len()];
    let half = saved[..saved.len() / 2].to_vec();
    let contents = [
        Some(saved.clone()),
        Some(half),
        flipped(0),
        flipped(saved.len() - 9),
        Some(garbage),
        Some(vec![]),
        None,
    ];
    for (case, content) in contents.into_iter().enumerate() {
        match content {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let opened = open(&store, Some(FROM), vectors);
        check(&opened, &scan);
        assert_eq!(self::chunks(&opened), chunks, "{case}");
        let now = fs::read(&file).unwrap();
        assert!(case > 0 || now == saved, "a sound file is left alone");
        assert!(now.len() > saved.len() / 2, "{case}: a graph that was made anew is kept");
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    check(&open(&store, Some(FROM), vectors), &scan);
}

fn chunks_of(home: &Path) -> usize {
    open(&home.join("graph"), None, VectorSettings::default()).num_chunks()
}

#[test]
fn an_old_graph_is_not_taken_for_a_new_one() {
    let home = tempfile::tempdir().unwrap();
    let vectors = VectorSettings::default();
    let [mut graph, mut scan] = pair(home.path(), vectors);
    let file = home.path().join("graph.graph");
    let old = fs::read(&file).unwrap();
    for collection in [&mut graph, &mut scan] {
        (421..440).for_each(|i| assert!(collection.remove(&format!("ships/{i}")).unwrap()));
        block_on(collection.add((500..520).map(ship).collect())).unwrap();
    }
    drop(graph);
    fs::write(&file, old).unwrap();
    check(&open(&home.path().join("graph"), Some(FROM), vectors), &scan);
    // Without the graph nothing is missing; with another threshold there is none.
    assert_eq!(chunks_of(home.path()), scan.num_chunks());
    assert!(!open(&home.path().join("graph"), Some(100_000), vectors).has_graph());
    // The same whole vectors, compared by fewer components: the graph of all of them does not fit.
    let cut = VectorSettings { dimensions: Some(Dimensions::Untrained(16)), ..vectors };
    drop(scan);
    let graph = open(&home.path().join("graph"), Some(FROM), cut);
    check(&graph, &open(&home.path().join("scan"), None, cut));
}

#[test]
fn vectors_may_be_cut_rounded_and_all_that_there_is() {
    for (dimensions, kind) in [
        (None, VectorType::F32),
        (Some(Dimensions::Untrained(32)), VectorType::F16),
        (Some(Dimensions::Untrained(48)), VectorType::Int8),
    ] {
        let home = tempfile::tempdir().unwrap();
        let vectors = VectorSettings { dimensions, kind, rescoring: Rescoring::Off };
        let [graph, scan] = pair(home.path(), vectors);
        check(&graph, &scan);
    }
}

#[test]
fn few_chunks_none_and_more_than_there_are_can_be_found() {
    let mut collection =
        Collection::in_memory(bard(), CollectionSettings { approximate_from: Some(0), ..settings() })
            .unwrap();
    let found = |collection: &Collection<_>, num_hits, filter| {
        let options =
            SearchOptions { num_hits, ranking: Ranking::Vectors, filter, ..SearchOptions::default() };
        block_on(collection.search("a ship with five masts", &options)).unwrap()
    };
    assert!(collection.has_graph() && found(&collection, 5, Filter::Everything).is_empty());
    block_on(collection.add((0..40).map(ship).collect())).unwrap();
    assert_eq!(found(&collection, usize::MAX, Filter::Everything).len(), collection.num_chunks());
    assert_eq!(found(&collection, 1, Filter::Everything).len(), 1);
    assert!(found(&collection, 0, Filter::Everything).is_empty());
    let three = found(&collection, 30, Filter::equals("masts", "3"));
    let three: BTreeSet<String> = sources(&three).into_iter().map(str::to_owned).collect();
    assert_eq!(three, (3..40).step_by(5).map(|i| format!("ships/{i}")).collect());
    (0..40).for_each(|i| assert!(collection.remove(&format!("ships/{i}")).unwrap()));
    assert!(found(&collection, 5, Filter::Everything).is_empty());
    block_on(collection.add(vec![ship(7)])).unwrap();
    let found = found(&collection, 5, Filter::Everything);
    assert!(!found.is_empty() && sources(&found).iter().all(|source| *source == "ships/7"));
}
