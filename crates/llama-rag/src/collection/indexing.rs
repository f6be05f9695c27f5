//! Bringing documents in: only what changed is embedded, and each document changes as a whole.

use std::{collections::BTreeSet, fmt, path::Path};

use llama_engine::LlamaEngine;

use super::{
    Collection, Skipped,
    folder::{FolderOptions, Found},
};
use crate::{
    Document, Embedder, RagError,
    error::Result,
    store::{Changes, ChunkRecord, DocumentRecord, NewDocument, hash},
};

/// What an index run did.
#[derive(Debug, Default)]
pub struct IndexReport {
    /// Documents that were not there before.
    pub added: usize,
    /// Documents whose text is another one now.
    pub changed: usize,
    /// Documents whose text is the same. They cost no embedding.
    pub unchanged: usize,
    /// Documents that are gone.
    pub removed: usize,
    /// Chunks that were embedded.
    pub num_chunks: usize,
    /// Tokens that were read for that.
    pub num_tokens: usize,
    /// Files that could not be indexed.
    pub skipped: Vec<Skipped>,
}

impl fmt::Display for IndexReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, changed, unchanged, removed, num_chunks, num_tokens, skipped } = self;
        write!(f, "{added} added, {changed} changed, {removed} removed, {unchanged} as before")?;
        write!(f, "; {num_chunks} chunks of {num_tokens} tokens embedded")?;
        for Skipped { path, reason } in skipped {
            write!(f, "\nskipped {}: {reason}", path.display())?;
        }
        Ok(())
    }
}

impl<E: LlamaEngine + 'static> Collection<E> {
    /// Brings documents in; those of a name that is there take its place, if their text is another. An error leaves what was committed
    /// before it: asking again goes on from there.
    ///
    /// # Errors
    /// [`RagError::DuplicateSource`] before anything happens; those of the engine and the store.
    pub async fn add(&mut self, documents: Vec<Document>) -> Result<IndexReport> {
        let mut names = BTreeSet::new();
        if let Some(twice) = documents.iter().find(|document| !names.insert(&document.source)) {
            return Err(RagError::DuplicateSource { doc: twice.source.clone() });
        }
        let mut run = Run::new(self);
        for document in documents {
            run.offer(document, None).await?;
        }
        run.end().await
    }

    /// Removes a document. Returns whether it was there.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn remove(&mut self, source: &str) -> Result<bool> {
        let was_there = self.memory.documents.contains_key(source);
        if was_there {
            self.commit(Changes { removed: vec![source.to_owned()], ..Changes::default() }, &[])?;
        }
        Ok(was_there)
    }

    /// Makes the collection hold what a folder holds: new and changed files are brought in, vanished ones removed. Documents from
    /// elsewhere stay. Files that cannot be read as text are skipped, and reported; one that cannot be opened keeps what was known of it.
    ///
    /// # Errors
    /// [`RagError::Folder`] if the folder itself cannot be read; those of the engine and the store.
    pub async fn sync_folder(
        &mut self,
        folder: impl AsRef<Path>,
        options: &FolderOptions,
    ) -> Result<IndexReport> {
        let walk = options.walk(folder.as_ref())?;
        let mut seen = BTreeSet::new();
        let mut run = Run::new(self);
        run.report.skipped = walk.skipped;
        for file in walk.files {
            match file.read(options) {
                Ok(document) => {
                    seen.insert(document.source.clone());
                    run.offer(document, Some(&options.name)).await?;
                }
                Err(skipped) => run.report.skipped.push(skipped),
            }
        }
        let unknown: Vec<String> = run
            .report
            .skipped
            .iter()
            .filter(|skipped| skipped.reason.may_pass())
            .map(|skipped| options.source(&skipped.path))
            .collect();
        let is_gone = |source: &str, record: &DocumentRecord| {
            let hidden = |above: &String| crate::Filter::under(above).covers(source, &record.metadata);
            record.folder.as_ref() == Some(&options.name)
                && !seen.contains(source)
                && !unknown.iter().any(hidden)
        };
        let documents = run.collection.memory.documents.iter();
        let gone: Vec<String> = documents
            .filter(|(source, record)| is_gone(source, record))
            .map(|(source, _)| source.clone())
            .collect();
        run.report.removed = gone.len();
        run.changes.removed = gone;
        run.end().await
    }

    fn commit(&mut self, changes: Changes, vectors: &[Vec<f32>]) -> Result<()> {
        let first_ids = self.store.commit(&changes)?;
        self.memory.follow(changes, &first_ids, vectors);
        Ok(())
    }
}

/// An index run: gathers documents until there is a batch to embed, then commits them.
struct Run<'a, E> {
    collection: &'a mut Collection<E>,
    changes: Changes,
    num_pending: usize,
    report: IndexReport,
}

impl<'a, E: LlamaEngine + 'static> Run<'a, E> {
    fn new(collection: &'a mut Collection<E>) -> Self {
        Self { collection, changes: Changes::default(), num_pending: 0, report: IndexReport::default() }
    }

    async fn offer(&mut self, document: Document, folder: Option<&str>) -> Result<()> {
        let Document { source, text, format, metadata } = document;
        let record = DocumentRecord {
            hash: hash(&text),
            format,
            metadata,
            folder: folder.map(str::to_owned),
            first_chunk: 0,
            num_chunks: 0,
        };
        match self.collection.memory.documents.get(&source) {
            Some(known) if known.hash == record.hash && known.format == format => {
                self.report.unchanged += 1;
                let (first_chunk, num_chunks) = (known.first_chunk, known.num_chunks);
                let updated = DocumentRecord { first_chunk, num_chunks, ..record };
                if updated != *known {
                    self.changes.updated.push((source, updated));
                }
                return Ok(());
            }
            Some(_) => self.report.changed += 1,
            None => self.report.added += 1,
        }
        let ranges = self.collection.splitter.split(&text, format)?;
        let chunk = |range: std::ops::Range<usize>| ChunkRecord {
            start: range.start as u64,
            text: text[range].to_owned(),
        };
        let chunks: Vec<_> = ranges.into_iter().map(|range| (chunk(range), Vec::new())).collect();
        self.num_pending += chunks.len();
        self.changes.put.push(NewDocument { source, record, chunks });
        if self.num_pending >= Embedder::<E>::BATCH_LEN {
            self.flush().await?;
        }
        Ok(())
    }

    /// Embeds and commits what has been gathered.
    async fn flush(&mut self) -> Result<()> {
        let mut changes = std::mem::take(&mut self.changes);
        self.num_pending = 0;
        if changes.is_empty() {
            return Ok(());
        }
        let chunks = changes.put.iter().flat_map(|document| &document.chunks);
        let texts: Vec<&str> = chunks.map(|(chunk, _)| chunk.text.as_str()).collect();
        let embedded = self.collection.embedder.documents(&texts).await?;
        let chunks = changes.put.iter_mut().flat_map(|document| &mut document.chunks);
        for ((_, stored), vector) in chunks.zip(&embedded.vectors) {
            *stored = self.collection.memory.to_stored(vector);
        }
        self.report.num_chunks += embedded.vectors.len();
        self.report.num_tokens += embedded.num_tokens;
        self.collection.commit(changes, &embedded.vectors)
    }

    async fn end(mut self) -> Result<IndexReport> {
        self.flush().await?;
        #[cfg(feature = "approximate")]
        self.collection.save_graph()?;
        Ok(self.report)
    }
}

impl Found {
    /// The document in the file.
    fn read(self, options: &FolderOptions) -> Result<Document, Skipped> {
        match self.text(options.max_file_bytes) {
            Ok(text) => Ok(Document {
                source: options.source(&self.relative),
                text,
                format: self.format,
                metadata: options.metadata.clone(),
            }),
            Err(reason) => Err(Skipped { path: self.relative, reason }),
        }
    }
}
