//! [`Graph`]: an approximate index of chunks, for collections that are too large to be scanned.
//!
//! A hierarchical navigable small world (Malkov and Yashunin, arXiv:1603.09320), by `usearch`, of eight bits a component. It only proposes candidates:
//! what is found is scored as in a scan, so what differs is which chunks are missed. It is made from the vectors that are scanned, and may be lost: whoever holds
//! none scans.

use std::path::Path;

use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

/// Neighbours of a node.
const CONNECTIVITY: usize = 16;
/// Nodes looked at when one is added.
const EXPANSION_ADD: usize = 128;
/// Nodes looked at in a search, at least.
const EXPANSION_SEARCH: usize = 128;

/// Chunk ids by their vectors.
pub(crate) struct Graph {
    index: Index,
}

impl Graph {
    /// An empty one; `None` if the library fails.
    pub(crate) fn new(dimensions: usize) -> Option<Self> {
        let options = IndexOptions {
            dimensions,
            metric: MetricKind::IP,
            quantization: ScalarKind::I8,
            connectivity: CONNECTIVITY,
            expansion_add: EXPANSION_ADD,
            expansion_search: EXPANSION_SEARCH,
            multi: false,
        };
        Some(Self { index: Index::new(&options).ok()? })
    }

    /// Vectors in it.
    pub(crate) fn len(&self) -> usize {
        self.index.size()
    }

    /// `None` if the library fails: then the graph is of no use any more.
    pub(crate) fn add(&mut self, id: u32, vector: &[f32]) -> Option<()> {
        if self.index.size() + 1 >= self.index.capacity() {
            self.index.reserve((2 * self.index.capacity()).max(1024)).ok()?;
        }
        self.index.add(u64::from(id), vector).ok()
    }

    /// As [`Graph::add`].
    pub(crate) fn remove(&mut self, id: u32) -> Option<()> {
        self.index.remove(u64::from(id)).ok().map(drop)
    }

    /// About the nearest, in any order.
    pub(crate) fn search(
        &self,
        vector: &[f32],
        num_ids: usize,
        allowed: impl Fn(u32) -> bool,
    ) -> Option<Vec<u32>> {
        let found = self.index.filtered_search(vector, num_ids, |id| allowed(id as u32)).ok()?;
        Some(found.keys.into_iter().map(|id| id as u32).collect())
    }

    pub(crate) fn save(&self, path: &Path) -> Option<()> {
        self.index.save(path.to_str()?).ok()
    }

    /// What was saved. The file must be known to be one that this library wrote: it trusts it.
    pub(crate) fn load(dimensions: usize, path: &Path) -> Option<Self> {
        let graph = Self::new(dimensions)?;
        graph.index.load(path.to_str()?).ok()?;
        (graph.index.dimensions() == dimensions).then_some(graph)
    }
}
