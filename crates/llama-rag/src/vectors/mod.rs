//! [`VectorIndex`]: which rows are nearest to a question.
//!
//! Vectors have length one, so the dot product is their cosine. What is scanned may be cut and rounded ([`VectorSettings`]); the best of that
//! are scored again with the vectors as the model gave them ([`rescore`]).

mod codes;
#[cfg(feature = "approximate")]
mod graph;

pub use codes::VectorType;
pub(crate) use codes::floats;
use codes::{Codes, dot};
#[cfg(feature = "approximate")]
pub use graph::VectorGraph;
use llama_engine::{Dimensions, EmbeddingInfo};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Result, invalid},
    top::{Scored, Top},
};

/// How vectors are kept for the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorSettings {
    /// Keep this many leading components (Matryoshka, arXiv:2205.13147); all, if absent. A model that is not known to be trained for
    /// it loses quality, so its cut must be called untrained.
    pub dimensions: Option<Dimensions>,
    /// What a component is rounded to.
    pub kind: VectorType,
    /// Whether the best are scored again with whole vectors.
    pub rescoring: Rescoring,
}

/// Whether the best of a scan are scored again with whole vectors, which then are stored as well, on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rescoring {
    /// What is scanned decides, and is all that is stored.
    Off,
    /// So many times as many as asked for are scored again.
    Times(u32),
}

impl Default for VectorSettings {
    /// Whole vectors of eight bits a component, and the best four times as many as asked for scored again in f32.
    fn default() -> Self {
        Self { dimensions: None, kind: VectorType::Int8, rescoring: Rescoring::Times(4) }
    }
}

impl VectorSettings {
    /// Components that are scanned, of `embedding.len`.
    ///
    /// # Errors
    /// [`crate::RagError::Engine`] if the model has fewer, or is not known to be trained for this cut and it is not called untrained;
    /// [`crate::RagError::InvalidSetting`].
    pub fn scanned(&self, embedding: &EmbeddingInfo) -> Result<usize> {
        let len = embedding.dimensions(self.dimensions)?.len();
        if self.rescoring == Rescoring::Times(0) {
            return Err(invalid("rescoring", "0 times as many, expected at least 1"));
        }
        Ok(len)
    }
}

/// Vectors in rows, numbered in the order in which they came.
#[derive(Clone, Debug)]
pub struct VectorIndex {
    dimensions: usize,
    codes: Codes,
    num_rows: usize,
}

impl VectorIndex {
    /// An index of vectors that are cut to `dimensions` components.
    pub fn new(dimensions: usize, kind: VectorType) -> Self {
        Self { dimensions, codes: Codes::new(kind), num_rows: 0 }
    }

    /// An index of the same kind, without rows.
    pub(crate) fn emptied(&self) -> Self {
        Self { dimensions: self.dimensions, codes: self.codes.emptied(), num_rows: 0 }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.num_rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.num_rows == 0
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.codes.row_bytes(self.dimensions)
    }

    /// Appends a vector, cut and rounded.
    ///
    /// # Panics
    /// If it has fewer components than are kept.
    pub fn push(&mut self, vector: &[f32]) {
        self.codes.push(&cut(vector, self.dimensions));
        self.num_rows += 1;
    }

    /// Appends a row as [`VectorIndex::row`] gave it; refuses one of another size.
    pub(crate) fn push_row(&mut self, bytes: &[u8]) -> Option<()> {
        self.codes.push_bytes(bytes, self.dimensions)?;
        self.num_rows += 1;
        Some(())
    }

    /// A row as bytes, to be stored.
    pub(crate) fn row(&self, row: usize) -> Vec<u8> {
        self.codes.row_to_bytes(row, self.dimensions)
    }

    /// Components that are kept.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// A row in eight bits a component, without its scale.
    #[cfg(feature = "approximate")]
    fn rounded(&self, row: usize) -> std::borrow::Cow<'_, [i8]> {
        self.codes.rounded(row, self.dimensions)
    }

    /// Drops the rows for which `keep` says so, and numbers the others anew, in their order.
    pub fn retain(&mut self, keep: &[bool]) {
        self.codes.retain(keep, self.dimensions);
        self.num_rows = keep.iter().filter(|keep| **keep).count();
    }

    /// The nearest rows among those that `allowed` covers, nearest first; of equals the earlier one. Reads every allowed row.
    pub fn search(&self, query: &[f32], num_rows: usize, allowed: impl Fn(u32) -> bool) -> Vec<(u32, f32)> {
        self.search_among(query, num_rows, (0..self.num_rows as u32).filter(|row| allowed(*row)))
    }

    /// The nearest of these rows, nearest first; of equals the earlier one.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn search_among(
        &self,
        query: &[f32],
        num_rows: usize,
        rows: impl IntoIterator<Item = u32>,
    ) -> Vec<(u32, f32)> {
        let query = self.codes.query(&cut(query, self.dimensions));
        let mut top = Top::new(num_rows);
        for row in rows {
            top.push(Scored { row, score: self.codes.score(&query, row as usize) });
        }
        top.into_sorted().into_iter().map(|scored| (scored.row, scored.score)).collect()
    }
}

/// The nearest of some rows by their whole vectors, nearest first; of equals the earlier one.
pub fn rescore(
    query: &[f32],
    rows: impl IntoIterator<Item = (u32, Vec<f32>)>,
    num_rows: usize,
) -> Vec<(u32, f32)> {
    let mut top = Top::new(num_rows);
    for (row, vector) in rows {
        top.push(Scored { row, score: dot(query, &vector) });
    }
    top.into_sorted().into_iter().map(|scored| (scored.row, scored.score)).collect()
}

/// The leading components, of length one again; a whole vector as it is.
fn cut(vector: &[f32], len: usize) -> Vec<f32> {
    if len == vector.len() { vector.to_vec() } else { unit(vector[..len].to_vec()) }
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = dot(&vector, &vector).sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x /= norm);
    }
    vector
}

#[cfg(test)]
mod tests {
    use llama_engine::Pooling;
    use proptest::prelude::*;

    use super::*;

    const KINDS: [VectorType; 3] = [VectorType::F32, VectorType::F16, VectorType::Int8];

    fn vectors(num: usize, len: usize) -> Vec<Vec<f32>> {
        let component = |i: usize, j: usize| (((i * 31 + j * 17 + i * j) % 23) as f32 - 11.0) / 11.0;
        (0..num).map(|i| unit((0..len).map(|j| component(i, j)).collect())).collect()
    }

    fn index(vectors: &[Vec<f32>], len: usize, kind: VectorType) -> VectorIndex {
        let mut index = VectorIndex::new(len, kind);
        vectors.iter().for_each(|vector| index.push(vector));
        index
    }

    #[test]
    fn every_kind_finds_the_vector_itself_first() {
        let vectors = vectors(20, 37);
        for kind in KINDS {
            for len in [37, 16, 5] {
                let index = index(&vectors, len, kind);
                for (row, vector) in vectors.iter().enumerate() {
                    let found = index.search(vector, 3, |_| true);
                    assert_eq!(found.len(), 3);
                    assert_eq!(found[0].0 as usize, row, "{kind:?} {len} {found:?}");
                    assert!((found[0].1 - 1.0).abs() < 0.02, "{kind:?} {len} {found:?}");
                }
            }
        }
    }

    #[test]
    fn only_allowed_rows_are_found_and_equals_come_in_order() {
        let mut vectors = vectors(6, 8);
        vectors[4] = vectors[1].clone();
        for kind in KINDS {
            let index = index(&vectors, 8, kind);
            let rows = |allowed: fn(u32) -> bool| -> Vec<u32> {
                index.search(&vectors[1], 2, allowed).into_iter().map(|(row, _)| row).collect()
            };
            assert_eq!(rows(|_| true), [1, 4], "{kind:?}");
            assert_eq!(rows(|row| row == 4), [4], "{kind:?}");
            assert!(rows(|_| false).is_empty(), "{kind:?}");
        }
    }

    #[test]
    fn rows_survive_bytes_and_removal() {
        let vectors = vectors(9, 12);
        let keep: Vec<bool> = (0..9).map(|i| i % 3 != 1).collect();
        for kind in KINDS {
            let mut all = index(&vectors, 12, kind);
            let mut copied = VectorIndex::new(12, kind);
            for row in (0..9).filter(|row| keep[*row]) {
                assert_eq!(all.row(row).len(), all.row_bytes());
                copied.push_row(&all.row(row)).unwrap();
            }
            assert!(copied.push_row(&[0; 3]).is_none(), "a row of another size");
            all.retain(&keep);
            assert_eq!(all.len(), copied.len());
            assert_eq!(
                all.search(&vectors[4], 9, |_| true),
                copied.search(&vectors[4], 9, |_| true),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn rescoring_puts_rounded_neighbours_in_order() {
        let vectors = vectors(20, 37);
        let exact = index(&vectors, 37, VectorType::F32).search(&vectors[3], 5, |_| true);
        let rough = index(&vectors, 6, VectorType::Int8).search(&vectors[3], 20, |_| true);
        let rows = rough.into_iter().map(|(row, _)| (row, vectors[row as usize].clone()));
        assert_eq!(rescore(&vectors[3], rows, 5), exact);
    }

    #[test]
    fn cuts_must_be_possible_and_called_what_they_are() {
        let embedding = EmbeddingInfo {
            len: 8,
            max_tokens: 64,
            pooling: Pooling::Mean,
            query_prefix: String::new(),
            document_prefix: String::new(),
            trained_dimensions: vec![4],
        };
        for (dimensions, expected) in [
            (None, Some(8)),
            (Some(Dimensions::Trained(4)), Some(4)),
            (Some(Dimensions::Untrained(5)), Some(5)),
            (Some(Dimensions::Trained(5)), None),
            (Some(Dimensions::Untrained(0)), None),
            (Some(Dimensions::Untrained(9)), None),
        ] {
            let settings = VectorSettings { dimensions, ..VectorSettings::default() };
            assert_eq!(settings.scanned(&embedding).ok(), expected, "{dimensions:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        /// Rounding moves a cosine by no more than the rounding of its components can.
        #[test]
        fn rounding_moves_cosines_little(a in vec_of(24), b in vec_of(24)) {
            let (a, b) = (unit(a), unit(b));
            let exact = dot(&a, &b);
            for (kind, tolerance) in KINDS.into_iter().zip([1e-6, 1e-3, 0.03]) {
                let found = index(std::slice::from_ref(&a), 24, kind).search(&b, 1, |_| true)[0].1;
                prop_assert!((found - exact).abs() <= tolerance, "{kind:?}: {found}, expected {exact}");
            }
        }
    }

    fn vec_of(len: usize) -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(-1.0f32..1.0, len)
    }
}
