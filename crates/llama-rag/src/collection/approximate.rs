//! [`Approximate`]: the graph that takes the place of the scan in large collections.
//!
//! It is made when there are enough chunks, follows each commit, and is written beside the store when it has been made and at the end of an index
//! run. The store holds the hash of that file until the next commit, so one that is old, torn or of another store is never read, and the bytes of one
//! that is read are checked link by link; without it the graph is made anew. A graph that fails is dropped, and where it finds too little a scan looks
//! instead.

use std::{ffi::OsString, fs, path::PathBuf};

use sha2::{Digest, Sha256};

use super::memory::{Memory, Row};
use crate::{VectorGraph, VectorIndex, error::Result, store::Store};

/// With so few allowed chunks a scan takes no longer than finding them in the graph.
const FEW: usize = 10_000;
/// A graph looks at so many times the chunks that it shall find, each in another place of memory: from this share of all on a scan is faster.
const SHARE: usize = 16;

/// A graph, if there are enough chunks.
pub(super) struct Approximate {
    from: usize,
    graph: Option<VectorGraph>,
    is_saved: bool,
}

impl Approximate {
    /// A graph from so many chunks on; none at all, if that is absent. One that was saved is loaded, another is made and saved.
    pub(super) fn open(from: Option<usize>, memory: &Memory, store: &Store) -> Result<Self> {
        let mut opened = Self { from: from.unwrap_or(usize::MAX), graph: None, is_saved: false };
        if memory.rows.len() >= opened.from {
            opened.graph = load((&memory.rows, &memory.vectors), store)?;
            opened.is_saved = opened.graph.is_some();
            opened.grow(&memory.rows, &memory.vectors);
            opened.save(store)?;
        }
        Ok(opened)
    }

    /// Whether there is a graph now.
    pub(super) fn has_graph(&self) -> bool {
        self.graph.is_some()
    }

    /// Follows a commit: the ids that went, and the rows from `first_new` on that came.
    pub(super) fn follow(&mut self, gone: &[u32], first_new: usize, (rows, vectors): (&[Row], &VectorIndex)) {
        self.is_saved = false;
        if let Some(mut graph) = self.graph.take() {
            let removed = gone.iter().try_for_each(|id| graph.remove(*id));
            if removed.and_then(|()| extend(&mut graph, rows, vectors, first_new)).is_ok() {
                self.graph = Some(graph);
            }
        } else {
            self.grow(rows, vectors);
        }
    }

    fn grow(&mut self, rows: &[Row], vectors: &VectorIndex) {
        if self.graph.is_none() && rows.len() >= self.from {
            let graph = VectorGraph::new(vectors.dimensions());
            let filled = graph.and_then(|mut graph| extend(&mut graph, rows, vectors, 0).map(|()| graph));
            self.graph = filled.ok();
        }
    }

    /// Rows near the query; `None` if a scan should look for them.
    pub(super) fn near(
        &self,
        query: &[f32],
        num_rows: usize,
        (rows, allowed): (&[Row], Option<&[bool]>),
    ) -> Option<Vec<u32>> {
        let graph = self.graph.as_ref()?;
        let num_allowed = allowed.map(|allowed| allowed.iter().filter(|allowed| **allowed).count());
        let is_few = num_allowed.is_some_and(|num_allowed| num_allowed <= FEW);
        if is_few || num_rows > num_allowed.unwrap_or(rows.len()) / SHARE {
            return None;
        }
        let row_of = |id: u32| rows.binary_search_by_key(&id, |row| row.id).ok();
        let is_allowed = |id| row_of(id).is_some_and(|row| allowed.is_none_or(|allowed| allowed[row]));
        // All that it looks at anyway; of those, the best are chosen by what is scanned.
        let ids = graph.search(query, num_rows.max(VectorGraph::NUM_LOOKED_AT), is_allowed).ok()?;
        if ids.len() < num_rows {
            return None;
        }
        Some(ids.into_iter().filter_map(row_of).map(|row| row as u32).collect())
    }

    /// Writes the graph beside the store. What cannot be written is made anew the next time.
    pub(super) fn save(&mut self, store: &Store) -> Result<()> {
        let Some((graph, path)) = self.graph.as_ref().zip(path(store)).filter(|_| !self.is_saved) else {
            return Ok(());
        };
        if let Ok(bytes) = graph.to_bytes()
            && fs::write(&path, &bytes).is_ok()
        {
            store.set_graph_hash(&Sha256::digest(bytes))?;
            self.is_saved = true;
        }
        Ok(())
    }
}

fn extend(graph: &mut VectorGraph, rows: &[Row], vectors: &VectorIndex, first_new: usize) -> Result<()> {
    (first_new..rows.len()).try_for_each(|row| graph.add(rows[row].id, vectors, row))
}

/// The graph of these rows, if one was saved that fits them.
fn load((rows, vectors): (&[Row], &VectorIndex), store: &Store) -> Result<Option<VectorGraph>> {
    let (Some(path), Some(hash)) = (path(store), store.graph_hash()?) else { return Ok(None) };
    let bytes = fs::read(&path).ok().filter(|bytes| Sha256::digest(bytes)[..] == hash[..]);
    let ids = rows.iter().map(|row| row.id);
    Ok(bytes.and_then(|bytes| VectorGraph::from_bytes(&bytes, vectors, ids)))
}

/// Beside the store's file, if it has one.
fn path(store: &Store) -> Option<PathBuf> {
    let mut path = OsString::from(store.file()?);
    path.push(".graph");
    Some(path.into())
}
