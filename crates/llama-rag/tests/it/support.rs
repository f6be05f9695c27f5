//! What the tests share.

use std::{path::Path, sync::Arc};

use futures::executor::block_on;
use llama_rag::{
    Chunk, Collection, CollectionSettings, FolderOptions, Hit, IndexReport, Ranking, SearchOptions,
    SplitSettings,
};
use llama_runtime::{CandleEngine, EngineOptions};

/// The small model in the repository.
pub(crate) fn bard() -> Arc<CandleEngine> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
    Arc::new(block_on(CandleEngine::load(path, EngineOptions::default())).expect("bard is in the repository"))
}

/// Short chunks, so that little text makes many.
pub(crate) fn settings() -> CollectionSettings {
    let split = SplitSettings { max_tokens: 24, overlap_tokens: 0 };
    CollectionSettings { split, ..CollectionSettings::default() }
}

pub(crate) fn in_memory() -> Collection<CandleEngine> {
    Collection::in_memory(bard(), settings()).unwrap()
}

pub(crate) fn open(path: &Path) -> Collection<CandleEngine> {
    Collection::open(path, bard(), settings()).unwrap()
}

pub(crate) fn sync(collection: &mut Collection<CandleEngine>, folder: &Path) -> IndexReport {
    block_on(collection.sync_folder(folder, &FolderOptions::default())).unwrap()
}

/// (added, changed, unchanged, removed, embedded chunks)
pub(crate) fn counts(report: &IndexReport) -> (usize, usize, usize, usize, usize) {
    (report.added, report.changed, report.unchanged, report.removed, report.num_chunks)
}

pub(crate) fn search(collection: &Collection<CandleEngine>, question: &str, ranking: Ranking) -> Vec<Hit> {
    block_on(collection.search(question, &SearchOptions { ranking, ..SearchOptions::default() })).unwrap()
}

pub(crate) fn sources(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| &*hit.chunk.source).collect()
}

/// All chunks, document by document.
pub(crate) fn chunks(collection: &Collection<CandleEngine>) -> Vec<Chunk> {
    collection.sources().flat_map(|source| collection.chunks_of(source).unwrap()).collect()
}

/// Writes files, and makes the folders that they stand in.
pub(crate) fn write(folder: &Path, files: &[(&str, &[u8])]) {
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a file stands in a folder")).unwrap();
        std::fs::write(path, content).unwrap();
    }
}
