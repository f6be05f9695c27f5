//! [`Approximate`]: the graph that takes the place of the scan in large collections.
//!
//! It is made when there are enough chunks, follows each commit, and is written beside the store at the end of an index run. The store holds the
//! hash of that file until the next commit, so a file that is old, torn or not ours is never loaded; then the graph is made anew. If it fails
//! it is dropped, and the scan finds the same and more.

use std::{ffi::OsString, fs, path::PathBuf};

use sha2::{Digest, Sha256};

use super::memory::{Memory, Row};
use crate::{VectorIndex, error::Result, store::Store, vectors::Graph};

/// With so few allowed chunks a scan takes no longer than finding them in the graph.
const FEW: usize = 10_000;

/// A graph, if there are enough chunks.
pub(super) struct Approximate {
    from: usize,
    graph: Option<Graph>,
    is_saved: bool,
}

impl Approximate {
    /// A graph from so many chunks on; none at all, if that is absent. One that was saved is loaded.
    pub(super) fn open(from: Option<usize>, memory: &Memory, store: &Store) -> Result<Self> {
        let mut opened = Self { from: from.unwrap_or(usize::MAX), graph: None, is_saved: false };
        if memory.rows.len() >= opened.from {
            opened.graph = load(&memory.vectors, store)?.filter(|graph| graph.len() == memory.rows.len());
            opened.is_saved = opened.graph.is_some();
            opened.grow(&memory.rows, &memory.vectors);
        }
        Ok(opened)
    }

    /// Follows a commit: the ids that went, and the rows from `first_new` on that came.
    pub(super) fn follow(&mut self, gone: &[u32], first_new: usize, (rows, vectors): (&[Row], &VectorIndex)) {
        self.is_saved = false;
        if let Some(mut graph) = self.graph.take() {
            let removed = gone.iter().try_for_each(|id| graph.remove(*id));
            if removed.and_then(|()| extend(&mut graph, rows, vectors, first_new)).is_some() {
                self.graph = Some(graph);
            }
        } else {
            self.grow(rows, vectors);
        }
    }

    fn grow(&mut self, rows: &[Row], vectors: &VectorIndex) {
        if self.graph.is_none() && rows.len() >= self.from {
            let graph = Graph::new(vectors.dimensions());
            self.graph = graph.and_then(|mut graph| extend(&mut graph, rows, vectors, 0).map(|()| graph));
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
        if allowed.is_some_and(|allowed| allowed.iter().filter(|allowed| **allowed).count() <= FEW) {
            return None;
        }
        let row_of = |id: u32| rows.binary_search_by_key(&id, |row| row.id).ok();
        let is_allowed = |id| row_of(id).is_some_and(|row| allowed.is_none_or(|allowed| allowed[row]));
        let ids = graph.search(query, num_rows, is_allowed)?;
        Some(ids.into_iter().filter_map(row_of).map(|row| row as u32).collect())
    }

    /// Writes the graph beside the store. What cannot be written is made anew the next time.
    pub(super) fn save(&mut self, store: &Store) -> Result<()> {
        let Some((graph, path)) = self.graph.as_ref().zip(path(store)).filter(|_| !self.is_saved) else {
            return Ok(());
        };
        if graph.save(&path).is_some()
            && let Ok(content) = fs::read(&path)
        {
            store.set_graph_hash(&Sha256::digest(content))?;
            self.is_saved = true;
        }
        Ok(())
    }
}

fn extend(graph: &mut Graph, rows: &[Row], vectors: &VectorIndex, first_new: usize) -> Option<()> {
    (first_new..rows.len()).try_for_each(|row| graph.add(rows[row].id, &vectors.decoded(row)))
}

fn load(vectors: &VectorIndex, store: &Store) -> Result<Option<Graph>> {
    let (Some(path), Some(hash)) = (path(store), store.graph_hash()?) else { return Ok(None) };
    let is_ours = fs::read(&path).is_ok_and(|content| Sha256::digest(content)[..] == hash[..]);
    Ok(if is_ours { Graph::load(vectors.dimensions(), &path) } else { None })
}

/// Beside the store's file, if it has one.
fn path(store: &Store) -> Option<PathBuf> {
    let mut path = OsString::from(store.file()?);
    path.push(".graph");
    Some(path.into())
}
