//! [`VectorGraph`]: an approximate index of chunks, for collections that are too large to be scanned.
//!
//! A hierarchical navigable small world (Malkov and Yashunin, arXiv:1603.09320), by `usearch`. It compares the cosines of vectors of eight bits a
//! component, rounded as in [`VectorType::Int8`](super::VectorType); the library's own rounding would leave a component of 384 some six steps.
//! It only proposes candidates: what is found is scored as in a scan, so what differs is which chunks are missed. It is made from the vectors
//! that are scanned, and may be lost: whoever holds none scans.

mod alike;
mod bytes;

use alike::{Alike, Removed};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use super::{VectorIndex, codes::round, cut};
use crate::{RagError, error::Result};

/// Neighbours of a node.
const CONNECTIVITY: usize = 16;
/// Nodes looked at when one is added.
const EXPANSION_ADD: usize = 128;

/// Rows of a [`VectorIndex`] by their vectors, under ids of their own.
pub struct VectorGraph {
    /// Of equal vectors it holds one.
    index: Index,
    alike: Alike,
}

impl VectorGraph {
    /// Vectors that a search looks at, at least: to ask for fewer saves nothing.
    pub const NUM_LOOKED_AT: usize = 128;

    /// An empty one for vectors of so many components.
    ///
    /// # Errors
    /// [`RagError::Graph`] if there is not enough memory.
    pub fn new(dimensions: usize) -> Result<Self> {
        let options = IndexOptions {
            dimensions,
            metric: MetricKind::Cos,
            quantization: ScalarKind::I8,
            connectivity: CONNECTIVITY,
            expansion_add: EXPANSION_ADD,
            expansion_search: Self::NUM_LOOKED_AT,
            multi: false,
        };
        Ok(Self { index: Index::new(&options).map_err(failed)?, alike: Alike::default() })
    }

    /// Ids in it.
    pub fn len(&self) -> usize {
        self.alike.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a row, under an id that is not there. The graph is of no use after an error.
    ///
    /// # Errors
    /// [`RagError::Graph`] if the id is there, the row has another number of components, or there is not enough memory.
    pub fn add(&mut self, id: u32, vectors: &VectorIndex, row: usize) -> Result<()> {
        if self.alike.contains(id) {
            return Err(RagError::Graph(format!("id {id} is there already").into()));
        }
        let codes = vectors.rounded(row);
        if !self.alike.add(id, &codes) {
            return Ok(());
        }
        if self.index.size() + 1 >= self.index.capacity() {
            self.index.reserve((2 * self.index.capacity()).max(1024)).map_err(failed)?;
        }
        self.index.add(u64::from(id), &codes).map_err(failed)
    }

    /// Removes an id, if it is there. The graph is of no use after an error.
    ///
    /// # Errors
    /// [`RagError::Graph`] if there is not enough memory.
    pub fn remove(&mut self, id: u32) -> Result<()> {
        match self.alike.remove(id) {
            Removed::Nothing => Ok(()),
            Removed::Node => self.index.remove(u64::from(id)).map(drop).map_err(failed),
            Removed::NodeFor(next) => {
                self.index.rename(u64::from(id), u64::from(next)).map(drop).map_err(failed)
            }
        }
    }

    /// About the nearest of those that `allowed` covers, in any order; fewer than asked for where it finds no more, and more where vectors are
    /// equal. `num_ids` is the memory that this takes, too.
    ///
    /// # Errors
    /// [`RagError::Graph`] if more threads search at once than the machine has, or there is not enough memory.
    ///
    /// # Panics
    /// If the query has fewer components than the graph's vectors.
    pub fn search(&self, query: &[f32], num_ids: usize, allowed: impl Fn(u32) -> bool) -> Result<Vec<u32>> {
        if self.is_empty() || num_ids == 0 {
            return Ok(Vec::new());
        }
        let (codes, _scale) = round(&cut(query, self.index.dimensions()));
        let any_allowed = |node| self.alike.of(node as u32).any(&allowed);
        let found = self.index.filtered_search(&codes, num_ids, any_allowed).map_err(failed)?;
        let ids = found.keys.into_iter().flat_map(|node| self.alike.of(node as u32));
        Ok(ids.filter(|id| allowed(*id)).collect())
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.index.serialized_length()];
        self.index.save_to_buffer(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// What [`VectorGraph::to_bytes`] gave, with the same ids for the rows; `None` if they are not that.
    pub(crate) fn from_bytes(
        bytes: &[u8],
        vectors: &VectorIndex,
        ids: impl Iterator<Item = u32>,
    ) -> Option<Self> {
        let mut graph = Self::new(vectors.dimensions()).ok()?;
        let is_sound = bytes::are_sound(bytes, &graph.to_bytes().ok()?);
        if !is_sound || graph.index.load_from_buffer(bytes).is_err() {
            return None;
        }
        let all = ids.enumerate().map(|(row, id)| (id, vectors.rounded(row)));
        graph.alike = Alike::with_nodes(all, |id| graph.index.contains(u64::from(id)))?;
        (graph.alike.num_nodes() == graph.index.size()).then_some(graph)
    }

    /// Components of its vectors.
    pub fn dimensions(&self) -> usize {
        self.index.dimensions()
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> RagError {
    RagError::Graph(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VectorType;

    const LEN: usize = 32;

    /// Pseudo-random vectors of length one (splitmix64: Steele, Lea and Flood, OOPSLA 2014).
    fn vectors(num: usize) -> Vec<Vec<f32>> {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..num).map(|_| super::super::unit((0..LEN).map(|_| next()).collect())).collect()
    }

    fn graph(vectors: &[Vec<f32>], len: usize, kind: VectorType) -> (VectorIndex, VectorGraph) {
        let (mut index, mut graph) = (VectorIndex::new(len, kind), VectorGraph::new(len).unwrap());
        for (row, vector) in vectors.iter().enumerate() {
            index.push(vector);
            graph.add(row as u32 * 3, &index, row).unwrap();
        }
        (index, graph)
    }

    /// Share of the ten nearest by the scan that the graph proposes among twenty.
    fn recall(vectors: &[Vec<f32>], (index, graph): &(VectorIndex, VectorGraph)) -> f64 {
        let queries = vectors.iter().step_by(10);
        let num_queries = queries.clone().count();
        let found = queries.map(|query| {
            let ids = graph.search(query, 20, |_| true).unwrap();
            assert_eq!(ids.len(), 20);
            let near = index.search(query, 10, |_| true);
            near.into_iter().filter(|(row, _)| ids.contains(&(row * 3))).count()
        });
        found.sum::<usize>() as f64 / (10 * num_queries) as f64
    }

    #[test]
    fn it_proposes_what_a_scan_finds_in_every_kind_and_size() {
        let vectors = vectors(2000);
        for kind in [VectorType::F32, VectorType::F16, VectorType::Int8] {
            for len in [LEN, 8] {
                let recall = recall(&vectors, &graph(&vectors, len, kind));
                assert!(recall > 0.99, "{recall} {kind:?} {len}");
            }
        }
    }

    #[test]
    fn what_was_removed_or_is_not_allowed_is_not_found() {
        let vectors = vectors(600);
        let (index, mut graph) = graph(&vectors, LEN, VectorType::Int8);
        (0..600).step_by(2).for_each(|row| graph.remove(row * 3).unwrap());
        graph.remove(1).unwrap();
        assert_eq!(graph.len(), 300);
        for query in &vectors[..20] {
            let all = graph.search(query, 600, |_| true).unwrap();
            assert!(all.iter().all(|id| id % 6 == 3), "{all:?}");
            assert!(all.len() > 290, "{}", all.len());
            let allowed = graph.search(query, 10, |id| id % 9 == 0).unwrap();
            assert!(allowed.len() == 10 && allowed.iter().all(|id| id % 18 == 9), "{allowed:?}");
            assert!(graph.search(query, 10, |_| false).unwrap().is_empty());
        }
        for row in (0..600).step_by(2) {
            graph.add(row as u32 * 3 + 1, &index, row).unwrap();
        }
        assert_eq!(graph.len(), 600);
        for (row, query) in vectors.iter().enumerate().step_by(20) {
            assert!(
                graph.search(query, 3, |_| true).unwrap().contains(&(row as u32 * 3 + 1)),
                "row {row} came again"
            );
        }
        assert!(matches!(graph.add(1, &index, 0), Err(RagError::Graph(_))), "the id is there");
    }

    #[test]
    fn an_emptied_graph_finds_nothing_and_can_be_filled_again() {
        let vectors = vectors(30);
        let (index, mut graph) = graph(&vectors, LEN, VectorType::F32);
        (0..30).for_each(|row| graph.remove(row * 3).unwrap());
        assert!(graph.is_empty() && graph.search(&vectors[0], 5, |_| true).unwrap().is_empty());
        let bytes = graph.to_bytes().unwrap();
        let mut graph = VectorGraph::from_bytes(&bytes, &index.emptied(), std::iter::empty()).unwrap();
        graph.add(8, &index, 4).unwrap();
        assert_eq!(graph.search(&vectors[0], 5, |_| true).unwrap(), [8]);
    }

    #[test]
    fn bytes_give_the_same_graph() {
        let vectors = vectors(500);
        let (index, mut graph) = graph(&vectors, LEN, VectorType::Int8);
        (0..200).for_each(|row| graph.remove(row * 3).unwrap());
        (0..100).for_each(|row| graph.add(row, &index, row as usize).unwrap());
        let bytes = graph.to_bytes().unwrap();
        let (mut rows, ids) = (index.clone(), (200..500).map(|row| row * 3).chain(0..100));
        rows.retain(&[vec![false; 200], vec![true; 300]].concat());
        (0..100).for_each(|row| rows.push(&vectors[row]));
        let mut read = VectorGraph::from_bytes(&bytes, &rows, ids.clone()).unwrap();
        assert_eq!((read.len(), read.dimensions()), (400, LEN));
        assert_eq!(read.to_bytes().unwrap(), bytes);
        let found = |graph: &VectorGraph, query| graph.search(query, 7, |_| true).unwrap();
        vectors.iter().for_each(|query| assert_eq!(found(&graph, query), found(&read, query)));
        read.add(1000, &index, 150).unwrap();
        assert!(found(&read, &vectors[150]).contains(&1000));
        assert!(VectorGraph::from_bytes(&bytes, &VectorIndex::new(8, VectorType::Int8), ids).is_none());
        assert!(VectorGraph::from_bytes(&bytes, &index, 0..500).is_none(), "of other ids");
    }

    /// A changed vector may stay: it can mislead, but not harm.
    #[test]
    fn bytes_that_lie_are_refused_or_do_no_harm() {
        let vectors = vectors(40);
        let (index, graph) = graph(&vectors, LEN, VectorType::Int8);
        let sound = graph.to_bytes().unwrap();
        let search = |bytes: &[u8]| {
            let graph = VectorGraph::from_bytes(bytes, &index, (0..40).map(|row| row * 3))?;
            assert!(
                vectors.iter().step_by(9).all(|query| graph.search(query, 5, |_| true).unwrap().len() <= 5)
            );
            Some(())
        };
        for len in 0..sound.len() {
            assert!(search(&sound[..len]).is_none(), "cut to {len}");
        }
        let mut num_refused = 0;
        for at in 0..sound.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = sound.clone();
                bytes[at] ^= flip;
                num_refused += usize::from(search(&bytes).is_none());
            }
        }
        assert!(num_refused > sound.len() / 10, "{num_refused}");
        assert!(search(&[sound, vec![0]].concat()).is_none(), "more than a graph");
    }

    /// Half of all are one vector, which hides nothing, and is found with all its ids.
    #[test]
    fn equal_vectors_are_found_together_and_hide_no_others() {
        let mut vectors = vectors(1200);
        let common = vectors[0].clone();
        vectors.iter_mut().step_by(2).for_each(|vector| vector.clone_from(&common));
        let (mut index, mut graph) = graph(&vectors, LEN, VectorType::Int8);
        let check = |graph: &VectorGraph, num_common: usize| {
            for (row, query) in vectors.iter().enumerate().skip(1).step_by(34) {
                assert!(graph.search(query, 10, |_| true).unwrap().contains(&(row as u32 * 3)), "{row}");
            }
            let found = graph.search(&common, 1, |_| true).unwrap();
            assert_eq!((found.len(), graph.len()), (num_common, 600 + num_common));
            assert_eq!(graph.search(&common, 1, |id| id == 1350 || id == 3).unwrap(), [1350]);
        };
        check(&graph, 600);
        // The one that stands for the others goes, others go, and all come back from bytes.
        (0..400).step_by(2).for_each(|row| graph.remove(row * 3).unwrap());
        check(&graph, 400);
        let is_left = |row: &u32| *row >= 400 || row % 2 == 1;
        let keep: Vec<bool> = (0..1200).map(|row| is_left(&row)).collect();
        index.retain(&keep);
        let ids = (0..1200).filter(is_left).map(|row| row * 3);
        let mut graph = VectorGraph::from_bytes(&graph.to_bytes().unwrap(), &index, ids).unwrap();
        check(&graph, 400);
        (400..1200).step_by(2).for_each(|row| graph.remove(row * 3).unwrap());
        assert_eq!(graph.len(), 600);
        assert!(graph.search(&common, 600, |_| true).unwrap().iter().all(|id| id % 6 == 3));
    }

    #[test]
    fn vectors_without_direction_are_no_harm() {
        let mut vectors = vectors(200);
        vectors.iter_mut().step_by(3).for_each(|vector| vector.fill(0.0));
        let (_, graph) = graph(&vectors, LEN, VectorType::Int8);
        assert!(graph.search(&vectors[1], 3, |_| true).unwrap().contains(&3));
        assert!(graph.search(&[0.0; LEN], 3, |_| true).unwrap().len() >= 3);
    }

    #[test]
    fn many_threads_search_at_once() {
        let vectors = vectors(400);
        let (_, graph) = graph(&vectors, LEN, VectorType::Int8);
        let expected: Vec<_> =
            vectors.iter().map(|query| graph.search(query, 5, |_| true).unwrap()).collect();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for (query, expected) in vectors.iter().zip(&expected) {
                        // More threads than the machine has are refused, never mixed up.
                        if let Ok(found) = graph.search(query, 5, |_| true) {
                            assert_eq!(found, *expected);
                        }
                    }
                });
            }
        });
    }
}
