//! [`Store`]: documents, chunks and vectors in one file.
//!
//! The file is a redb database: a B-tree that is copied on write, so whoever opens it after a crash sees the last commit, whole. A commit
//! holds whole documents only: what of a document is there belongs together, and it is there once. Every record carries a checksum
//! and is checked when it is read; a file that lies about itself ends in [`RagError::StoreDamaged`], even where it makes the database
//! panic. One process at a time: the database locks the file.

mod record;
mod settings;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

pub(crate) use record::{ChunkRecord, DocumentRecord, hash};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, backends::InMemoryBackend};
pub(crate) use settings::StoreSettings;

use crate::{RagError, error::Result};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const DOCUMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("documents");
const CHUNKS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("chunks");
const VECTORS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("vectors");

/// Stands for the path of a store without a file.
const IN_MEMORY: &str = ":memory:";

const SETTINGS: &str = "settings";
const NEXT_CHUNK: &str = "next_chunk";
/// Hash of the graph that fits the chunks.
const GRAPH: &str = "graph";

/// An open store.
pub(crate) struct Store {
    /// There until the store is dropped.
    database: Option<Database>,
    path: PathBuf,
}

/// A document as it goes in.
pub(crate) struct NewDocument {
    pub(crate) source: String,
    pub(crate) record: DocumentRecord,
    pub(crate) chunks: Vec<(ChunkRecord, Vec<u8>)>,
}

/// What one commit does. Nothing else happens to the store.
#[derive(Default)]
pub(crate) struct Changes {
    /// Documents that go.
    pub(crate) removed: Vec<String>,
    /// Documents that come, or take the place of those of their name.
    pub(crate) put: Vec<NewDocument>,
    /// Documents whose chunks stay as they are.
    pub(crate) updated: Vec<(String, DocumentRecord)>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.put.is_empty() && self.updated.is_empty()
    }
}

/// Everything in a store, in the order of ids.
pub(crate) struct Contents {
    pub(crate) documents: BTreeMap<String, DocumentRecord>,
    pub(crate) chunks: Vec<(u32, ChunkRecord)>,
}

impl Store {
    /// Opens or makes a file.
    pub(crate) fn open(path: &Path, settings: &StoreSettings) -> Result<Self> {
        // Reads the file once more, and then nobody can have changed it without being noticed.
        let open = || redb::Builder::new().set_check_integrity_on_open(true).create(path);
        Self::of(path, settings, || Ok(open()?))
    }

    /// A store that is gone with the process.
    pub(crate) fn in_memory(settings: &StoreSettings) -> Result<Self> {
        let make = || redb::Builder::new().create_with_backend(InMemoryBackend::new());
        Self::of(Path::new(IN_MEMORY), settings, || Ok(make()?))
    }

    fn of(
        path: &Path,
        settings: &StoreSettings,
        open: impl FnOnce() -> Result<Database, redb::Error>,
    ) -> Result<Self> {
        let store = Self { database: Some(guarded(path, open)?), path: path.to_owned() };
        store.check_settings(settings)?;
        Ok(store)
    }

    /// Writes the settings into a new store, and compares them with those of an old one.
    fn check_settings(&self, wanted: &StoreSettings) -> Result<()> {
        let stored = self.guarded(|| {
            let write = self.database().begin_write()?;
            let stored = {
                let mut meta = write.open_table(META)?;
                write.open_table(DOCUMENTS)?;
                write.open_table(CHUNKS)?;
                write.open_table(VECTORS)?;
                let stored = meta.get(SETTINGS)?.map(|value| value.value().to_vec());
                if stored.is_none() {
                    meta.insert(SETTINGS, record::seal(SETTINGS.as_bytes(), &wanted.to_bytes()).as_slice())?;
                }
                stored
            };
            write.commit()?;
            Ok(stored)
        })?;
        let Some(stored) = stored else { return Ok(()) };
        let stored = record::unseal(SETTINGS.as_bytes(), &stored).and_then(StoreSettings::from_bytes);
        let stored = stored.ok_or_else(|| self.damaged("its settings cannot be read"))?;
        match wanted.first_difference(&stored) {
            None => Ok(()),
            Some((field, stored, wanted)) => {
                Err(RagError::SettingsMismatch { path: self.path.clone(), field, stored, wanted })
            }
        }
    }

    /// Reads all documents and chunks, and shows each chunk's vector to `vector`, in the order of ids.
    pub(crate) fn load(&self, mut vector: impl FnMut(&[u8]) -> Option<()>) -> Result<Contents> {
        let mut bad = None;
        let contents = self.guarded(|| {
            let read = self.database().begin_read()?;
            let mut documents = BTreeMap::new();
            for entry in read.open_table(DOCUMENTS)?.iter()? {
                let (source, value) = entry?;
                match DocumentRecord::unseal(source.value(), value.value()) {
                    Some(record) => drop(documents.insert(source.value().to_owned(), record)),
                    None => bad = Some(format!("document {:?}", source.value())),
                }
            }
            let (mut chunks, vectors) = (Vec::new(), read.open_table(VECTORS)?);
            for entry in read.open_table(CHUNKS)?.iter()? {
                let (id, value) = entry?;
                let id = id.value();
                let stored = vectors.get(id)?;
                let found = stored.and_then(|stored| {
                    vector(record::unseal(&id.to_le_bytes(), stored.value())?)?;
                    ChunkRecord::unseal(id, value.value())
                });
                match found {
                    Some(record) => chunks.push((id, record)),
                    None => bad = Some(format!("chunk {id}")),
                }
                if bad.is_some() {
                    break;
                }
            }
            Ok(Contents { documents, chunks })
        })?;
        match bad.or_else(|| contents.inconsistency()) {
            None => Ok(contents),
            Some(what) => Err(self.damaged(&format!("{what} is not what was written"))),
        }
    }

    /// Makes changes, all or none. Returns the first chunk id of each document that was put.
    pub(crate) fn commit(&self, changes: &Changes) -> Result<Vec<u32>> {
        let mut is_full = false;
        let first_ids = self.guarded(|| {
            let write = self.database().begin_write()?;
            let placed = place(&write, changes)?;
            match placed {
                Some(first_ids) => {
                    write.commit()?;
                    Ok(first_ids)
                }
                None => {
                    is_full = true;
                    write.abort()?;
                    Ok(Vec::new())
                }
            }
        })?;
        if is_full { Err(RagError::StoreFull) } else { Ok(first_ids) }
    }

    /// The file; `None` if there is none.
    #[cfg(feature = "approximate")]
    pub(crate) fn file(&self) -> Option<&Path> {
        (self.path != Path::new(IN_MEMORY)).then_some(&self.path)
    }

    /// Hash of the graph that fits the chunks, if one has been written since they changed.
    #[cfg(feature = "approximate")]
    pub(crate) fn graph_hash(&self) -> Result<Option<Vec<u8>>> {
        let sealed = self.guarded(|| {
            let meta = self.database().begin_read()?.open_table(META)?;
            Ok(meta.get(GRAPH)?.map(|value| value.value().to_vec()))
        })?;
        Ok(sealed.and_then(|sealed| record::unseal(GRAPH.as_bytes(), &sealed).map(<[u8]>::to_vec)))
    }

    #[cfg(feature = "approximate")]
    pub(crate) fn set_graph_hash(&self, hash: &[u8]) -> Result<()> {
        self.guarded(|| {
            let write = self.database().begin_write()?;
            write.open_table(META)?.insert(GRAPH, record::seal(GRAPH.as_bytes(), hash).as_slice())?;
            Ok(write.commit()?)
        })
    }

    /// Texts of some chunks.
    pub(crate) fn chunks(&self, ids: &[u32]) -> Result<Vec<ChunkRecord>> {
        self.records(CHUNKS, ids, ChunkRecord::unseal)
    }

    /// Stored vectors of some chunks.
    pub(crate) fn vectors(&self, ids: &[u32]) -> Result<Vec<Vec<u8>>> {
        self.records(VECTORS, ids, |id, sealed| record::unseal(&id.to_le_bytes(), sealed).map(<[u8]>::to_vec))
    }

    fn records<T>(
        &self,
        table: TableDefinition<'_, u32, &[u8]>,
        ids: &[u32],
        unseal: impl Fn(u32, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>> {
        let found = self.guarded(|| {
            let table = self.database().begin_read()?.open_table(table)?;
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.push(table.get(id)?.and_then(|value| unseal(*id, value.value())));
            }
            Ok(found)
        })?;
        let whole: Option<Vec<T>> = found.into_iter().collect();
        whole.ok_or_else(|| self.damaged("a record is not what was written"))
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("only dropping takes it")
    }

    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T> {
        guarded(&self.path, work)
    }

    pub(crate) fn damaged(&self, what: &str) -> RagError {
        RagError::StoreDamaged { path: self.path.clone(), what: what.to_owned() }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Closing a damaged file may panic, and there is nobody to tell.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(self.database.take())));
    }
}

impl Contents {
    /// What does not fit together: each chunk must belong to one document, and each document have all of its chunks.
    fn inconsistency(&self) -> Option<String> {
        let mut owned: BTreeMap<u32, &str> = BTreeMap::new();
        for (source, record) in &self.documents {
            for id in record.chunk_ids() {
                if owned.insert(id, source).is_some() {
                    return Some(format!("document {source:?}"));
                }
            }
            // A document that claims more chunks than there are ends here, not in memory.
            if owned.len() > self.chunks.len() {
                return Some(format!("document {source:?}"));
            }
        }
        let ids = self.chunks.iter().map(|(id, _)| id);
        (!owned.keys().eq(ids)).then(|| "the list of chunks".to_owned())
    }
}

/// Writes changes into a transaction; `None` if ids have run out.
fn place(write: &redb::WriteTransaction, changes: &Changes) -> Result<Option<Vec<u32>>, redb::Error> {
    let mut meta = write.open_table(META)?;
    let mut documents = write.open_table(DOCUMENTS)?;
    let mut chunks = write.open_table(CHUNKS)?;
    let mut vectors = write.open_table(VECTORS)?;
    let mut next =
        meta.get(NEXT_CHUNK)?.and_then(|value| Some(u32::from_le_bytes(*value.value().as_array()?)));
    let gone = changes.removed.iter().chain(changes.put.iter().map(|document| &document.source));
    for source in gone {
        let Some(sealed) = documents.remove(source.as_str())? else { continue };
        let Some(record) = DocumentRecord::unseal(source, sealed.value()) else { continue };
        for id in record.chunk_ids() {
            chunks.remove(id)?;
            vectors.remove(id)?;
        }
    }
    let mut first_ids = Vec::with_capacity(changes.put.len());
    for NewDocument { source, record, chunks: new } in &changes.put {
        let first = next.unwrap_or(0);
        let Some(end) = u32::try_from(new.len()).ok().and_then(|len| first.checked_add(len)) else {
            return Ok(None);
        };
        for (id, (chunk, vector)) in (first..end).zip(new) {
            chunks.insert(id, chunk.seal(id).as_slice())?;
            vectors.insert(id, record::seal(&id.to_le_bytes(), vector).as_slice())?;
        }
        let record = DocumentRecord { first_chunk: first, num_chunks: end - first, ..record.clone() };
        documents.insert(source.as_str(), record.seal(source).as_slice())?;
        first_ids.push(first);
        next = Some(end);
    }
    for (source, record) in &changes.updated {
        documents.insert(source.as_str(), record.seal(source).as_slice())?;
    }
    meta.remove(GRAPH)?;
    meta.insert(NEXT_CHUNK, next.unwrap_or(0).to_le_bytes().as_slice())?;
    Ok(Some(first_ids))
}

/// Runs database code, whose panics on hostile files become errors, too.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T> {
    let damaged = |what: String| RagError::StoreDamaged { path: path.to_owned(), what };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(match error {
            redb::Error::DatabaseAlreadyOpen => RagError::StoreInUse { path: path.to_owned() },
            redb::Error::Corrupted(what) => damaged(what),
            redb::Error::Io(source) if source.kind() == std::io::ErrorKind::InvalidData => {
                damaged(source.to_string())
            }
            error @ (redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::UpgradeRequired(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::RepairAborted) => damaged(error.to_string()),
            error => RagError::Store { path: path.to_owned(), source: Box::new(error) },
        }),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(damaged(format!("the database gave up: {}", said.unwrap_or("without a reason"))))
        }
    }
}
