//! [`Collection`]: documents that can be searched.
//!
//! What is on disk is the truth, and changes a whole document at a time; what is in memory (rounded vectors, words, places) is made from it
//! when a store is opened, and follows each commit.

#[cfg(feature = "approximate")]
mod approximate;
mod folder;
mod indexing;
mod memory;
mod search;

use std::{path::Path, sync::Arc};

pub use folder::{FolderOptions, Links, SkipReason, Skipped};
pub use indexing::IndexReport;
use llama_engine::LlamaEngine;
use memory::Memory;
pub use search::{Hit, Ranking, SearchOptions};

use crate::{
    Chunk, ChunkId, Embedder, Metadata, RagError, SplitSettings, Splitter, TokenCounter, VectorSettings,
    error::{Result, invalid},
    store::{Store, StoreSettings},
};

/// Tokens that a model puts around a text: begin and end, or a class and a separator.
const SPECIAL_TOKENS: usize = 2;

/// How a collection is made. A store remembers it, and refuses to be opened with anything that would make its vectors incomparable.
#[derive(Clone, Debug, Default)]
pub struct CollectionSettings {
    /// How long chunks are.
    pub split: SplitSettings,
    /// How vectors are kept.
    pub vectors: VectorSettings,
    /// Counts tokens for the splitter; the engine itself, if absent.
    pub counter: Option<TokenCounter>,
    /// From so many chunks on, vectors are found by a [graph](crate::VectorGraph) that may miss some, instead of a scan; never, if absent. It is felt
    /// from about 50,000 on, where a scan takes as long as embedding the question; of a question whose filter leaves few chunks it makes none. What it
    /// misses depends on the order of all changes so far. It is kept beside the store, in a file of its name and `.graph`, and made anew if that is
    /// lost or does not fit.
    #[cfg(feature = "approximate")]
    pub approximate_from: Option<usize>,
}

/// Documents, cut into chunks that can be searched by meaning and by word.
pub struct Collection<E> {
    embedder: Embedder<E>,
    splitter: Splitter,
    settings: CollectionSettings,
    store: Store,
    memory: Memory,
}

impl<E: LlamaEngine + 'static> Collection<E> {
    /// Opens the collection in a file, or makes one there. The engine embeds.
    ///
    /// Reads everything: about a second for 100,000 chunks.
    ///
    /// # Errors
    /// [`RagError::SettingsMismatch`] if the file was made with other ones, [`RagError::StoreInUse`] if another process has it,
    /// [`RagError::StoreDamaged`] if it is no store, [`RagError::InvalidSetting`].
    pub fn open(path: impl AsRef<Path>, engine: Arc<E>, settings: CollectionSettings) -> Result<Self> {
        let path = path.as_ref();
        Self::with_store(engine, settings, |settings| Store::open(path, settings))
    }

    /// A collection that is gone when it is dropped.
    ///
    /// # Errors
    /// [`RagError::InvalidSetting`].
    pub fn in_memory(engine: Arc<E>, settings: CollectionSettings) -> Result<Self> {
        Self::with_store(engine, settings, Store::in_memory)
    }

    fn with_store(
        engine: Arc<E>,
        settings: CollectionSettings,
        open: impl FnOnce(&StoreSettings) -> Result<Store>,
    ) -> Result<Self> {
        let embedding = &engine.info().embedding;
        let counter = settings.counter.clone().unwrap_or_else(|| TokenCounter::of_engine(engine.clone()));
        let splitter = Splitter::new(settings.split, counter.clone())?;
        let prefix = embedding.document_prefix.as_str();
        let around = SPECIAL_TOKENS + if prefix.is_empty() { 0 } else { counter.count(prefix)? };
        let most = embedding.max_tokens.saturating_sub(around);
        if settings.split.max_tokens > most {
            let reason = format!("{}, the embedding model reads at most {most}", settings.split.max_tokens);
            return Err(invalid("max_tokens", reason));
        }
        let stored = StoreSettings::new(engine.info(), settings.split, &settings.vectors)?;
        let store = open(&stored)?;
        #[cfg_attr(not(feature = "approximate"), expect(unused_mut, reason = "only a graph is added"))]
        let mut memory = Memory::load(&store, &stored)?;
        #[cfg(feature = "approximate")]
        {
            let graph = approximate::Approximate::open(settings.approximate_from, &memory, &store)?;
            memory.approximate = Some(graph);
        }
        Ok(Self { embedder: Embedder::new(engine), splitter, settings, store, memory })
    }

    /// The engine that embeds.
    pub fn engine(&self) -> &Arc<E> {
        self.embedder.engine()
    }

    /// Documents.
    pub fn num_documents(&self) -> usize {
        self.memory.documents.len()
    }

    /// Chunks of all documents.
    pub fn num_chunks(&self) -> usize {
        self.memory.rows.len()
    }

    /// Whether vectors are found by a graph now.
    #[cfg(feature = "approximate")]
    pub fn has_graph(&self) -> bool {
        self.memory.approximate.as_ref().is_some_and(approximate::Approximate::has_graph)
    }

    /// Names of all documents, in their order.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.memory.documents.keys().map(String::as_str)
    }

    /// What is known of a document; `None` if there is no such document.
    pub fn metadata(&self, source: &str) -> Option<&Metadata> {
        Some(&self.memory.documents.get(source)?.metadata)
    }

    /// The chunks of a document, in the order of its text.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn chunks_of(&self, source: &str) -> Result<Vec<Chunk>> {
        match self.memory.documents.get(source) {
            Some(record) => self.read_chunks(&record.chunk_ids().collect::<Vec<_>>()),
            None => Ok(Vec::new()),
        }
    }

    #[cfg(feature = "approximate")]
    fn save_graph(&mut self) -> Result<()> {
        match &mut self.memory.approximate {
            Some(approximate) => approximate.save(&self.store),
            None => Ok(()),
        }
    }

    fn read_chunks(&self, ids: &[u32]) -> Result<Vec<Chunk>> {
        let records = self.store.chunks(ids)?;
        let chunk = |(id, record): (&u32, crate::store::ChunkRecord)| {
            let source =
                self.memory.source_of(*id).ok_or_else(|| self.store.damaged("a chunk without a document"))?;
            let start = record.start as usize;
            Ok(Chunk { id: ChunkId(*id), source, range: start..start + record.text.len(), text: record.text })
        };
        ids.iter().zip(records).map(chunk).collect()
    }
}

/// There must be something to look for.
pub(crate) fn check_question(question: &str) -> Result<()> {
    if question.trim().is_empty() { Err(RagError::EmptyQuestion) } else { Ok(()) }
}
