//! [`Memory`]: what a search reads, made from the store.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Filter, Rescoring, VectorIndex, WordIndex,
    error::Result,
    store::{Changes, DocumentRecord, Store, StoreSettings},
    vectors::floats,
};

/// Rows of all kinds have the same numbers, in the order of chunk ids.
pub(super) struct Memory {
    pub(super) documents: BTreeMap<String, DocumentRecord>,
    pub(super) rows: Vec<Row>,
    pub(super) words: WordIndex,
    pub(super) vectors: VectorIndex,
    #[cfg(feature = "approximate")]
    pub(super) approximate: Option<super::approximate::Approximate>,
    embedding_len: usize,
    rescoring: Rescoring,
}

/// A chunk's place.
pub(super) struct Row {
    pub(super) id: u32,
    pub(super) source: Arc<str>,
}

impl Memory {
    /// Reads everything.
    pub(super) fn load(store: &Store, settings: &StoreSettings) -> Result<Self> {
        let mut vectors = VectorIndex::new(settings.scanned_len, settings.kind);
        let (len, rescoring) = (settings.embedding_len, settings.rescoring);
        let contents = store.load(|stored| match rescoring {
            Rescoring::Off => vectors.push_row(stored),
            Rescoring::Times(_) => {
                let vector = whole(stored, len)?;
                vectors.push(&vector);
                Some(())
            }
        })?;
        let mut memory = Self {
            documents: BTreeMap::new(),
            rows: Vec::with_capacity(contents.chunks.len()),
            words: WordIndex::default(),
            vectors,
            #[cfg(feature = "approximate")]
            approximate: None,
            embedding_len: len,
            rescoring,
        };
        let mut sources: Vec<(u32, Arc<str>)> = Vec::new();
        for (source, record) in &contents.documents {
            let name: Arc<str> = source.as_str().into();
            sources.extend(record.chunk_ids().map(|id| (id, name.clone())));
        }
        sources.sort_by_key(|(id, _)| *id);
        for ((id, chunk), (_, source)) in contents.chunks.into_iter().zip(sources) {
            memory.words.push(&chunk.text);
            memory.rows.push(Row { id, source });
        }
        memory.documents = contents.documents;
        Ok(memory)
    }

    /// A vector as it is stored.
    pub(super) fn to_stored(&self, vector: &[f32]) -> Vec<u8> {
        match self.rescoring {
            Rescoring::Times(_) => vector.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Rescoring::Off => {
                let mut one = self.vectors.emptied();
                one.push(vector);
                one.row(0)
            }
        }
    }

    /// A whole vector as it was stored.
    pub(super) fn stored_to_whole(&self, stored: &[u8]) -> Option<Vec<f32>> {
        whole(stored, self.embedding_len)
    }

    /// Follows a commit. `vectors` are those of the new chunks, document by document.
    pub(super) fn follow(&mut self, changes: Changes, first_ids: &[u32], vectors: &[Vec<f32>]) {
        let gone = changes.removed.iter().chain(changes.put.iter().map(|document| &document.source));
        let gone = self.remove(&gone.map(String::as_str).collect::<Vec<_>>());
        let first_new = self.rows.len();
        let mut vectors = vectors.iter();
        for (document, first) in changes.put.into_iter().zip(first_ids) {
            let source: Arc<str> = document.source.as_str().into();
            let num_chunks = document.chunks.len() as u32;
            for (id, (chunk, _)) in (*first..).zip(&document.chunks) {
                self.words.push(&chunk.text);
                self.vectors.push(vectors.next().expect("each chunk has been embedded"));
                self.rows.push(Row { id, source: source.clone() });
            }
            let record = DocumentRecord { first_chunk: *first, num_chunks, ..document.record };
            self.documents.insert(document.source, record);
        }
        self.documents.extend(changes.updated);
        if !gone.is_empty() || first_new < self.rows.len() {
            self.chunks_changed(&gone, first_new);
        }
    }

    /// Tells what is made from the chunks: these ids went, and the rows from `first_new` on came.
    #[cfg(feature = "approximate")]
    fn chunks_changed(&mut self, gone: &[u32], first_new: usize) {
        if let Some(approximate) = &mut self.approximate {
            approximate.follow(gone, first_new, (&self.rows, &self.vectors));
        }
    }

    #[cfg(not(feature = "approximate"))]
    fn chunks_changed(&mut self, _: &[u32], _: usize) {}

    /// The nearest rows among those allowed, nearest first.
    pub(super) fn nearest(
        &self,
        query: &[f32],
        num_rows: usize,
        allowed: Option<&[bool]>,
    ) -> Vec<(u32, f32)> {
        #[cfg(feature = "approximate")]
        if let Some(approximate) = &self.approximate
            && let Some(near) = approximate.near(query, num_rows, (&self.rows, allowed))
        {
            return self.vectors.search_among(query, num_rows, near);
        }
        self.vectors.search(query, num_rows, |row| allowed.is_none_or(|allowed| allowed[row as usize]))
    }

    /// Removes documents. Returns the ids of their chunks.
    fn remove(&mut self, sources: &[&str]) -> Vec<u32> {
        let mut keep = vec![true; self.rows.len()];
        for source in sources {
            if let Some(record) = self.documents.remove(*source) {
                keep[self.rows_of(&record)].fill(false);
            }
        }
        if keep.iter().all(|keep| *keep) {
            return Vec::new();
        }
        let gone = self.rows.iter().zip(&keep).filter(|(_, keep)| !**keep).map(|(row, _)| row.id).collect();
        self.words.retain(&keep);
        self.vectors.retain(&keep);
        let mut row = keep.iter();
        self.rows.retain(|_| *row.next().expect("one for each row"));
        gone
    }

    /// A document's rows. Its ids follow each other, and those of its chunks are all there.
    fn rows_of(&self, record: &DocumentRecord) -> std::ops::Range<usize> {
        let start = self.rows.partition_point(|row| row.id < record.first_chunk);
        start..start + record.num_chunks as usize
    }

    /// Which rows a filter covers; `None` for all.
    pub(super) fn allowed(&self, filter: &Filter) -> Option<Vec<bool>> {
        if *filter == Filter::Everything {
            return None;
        }
        let mut allowed = vec![false; self.rows.len()];
        for (source, record) in &self.documents {
            if filter.covers(source, &record.metadata) {
                allowed[self.rows_of(record)].fill(true);
            }
        }
        Some(allowed)
    }

    pub(super) fn source_of(&self, id: u32) -> Option<Arc<str>> {
        let row = self.rows.binary_search_by_key(&id, |row| row.id).ok()?;
        Some(self.rows[row].source.clone())
    }
}

/// A vector of finite numbers, if that is what it is.
fn whole(stored: &[u8], len: usize) -> Option<Vec<f32>> {
    let vector = floats(stored);
    (stored.len() == 4 * len && vector.iter().all(|x| x.is_finite())).then_some(vector)
}
