//! Searching: by meaning, by word, or both.

use std::{fmt, str::FromStr};

use llama_engine::LlamaEngine;

use super::{Collection, check_question};
use crate::{
    Chunk, Filter, Metadata, RagError, Rescoring,
    error::{Result, invalid},
    fuse, rescore,
};

/// What a search looks at, and how much it finds.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// Most chunks to find.
    pub num_hits: usize,
    /// What chunks are ranked by.
    pub ranking: Ranking,
    /// Which documents may be found.
    pub filter: Filter,
    /// How far down each ranking is read before they are fused.
    pub depth: usize,
}

impl Default for SearchOptions {
    /// Five chunks of any document, by meaning and word, 50 of each.
    fn default() -> Self {
        Self { num_hits: 5, ranking: Ranking::Fused, filter: Filter::Everything, depth: 50 }
    }
}

/// What chunks are ranked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranking {
    /// The cosine between the vectors of question and chunk.
    Vectors,
    /// The words that they share (BM25).
    Words,
    /// Both, by reciprocal rank.
    #[default]
    Fused,
}

impl FromStr for Ranking {
    type Err = RagError;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "vectors" => Ok(Self::Vectors),
            "words" => Ok(Self::Words),
            "fused" => Ok(Self::Fused),
            other => Err(invalid("ranking", format!("{other:?}, expected vectors, words or fused"))),
        }
    }
}

/// A chunk that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// It.
    pub chunk: Chunk,
    /// How well it fits, on the scale of its ranking: only their order compares.
    pub score: f32,
    /// What is known of its document.
    pub metadata: Metadata,
}

/// Where it stands, then its text.
impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Chunk { source, range, text, .. } = &self.chunk;
        write!(f, "{:.4}  {source}, bytes {} to {}\n{text}", self.score, range.start, range.end)
    }
}

impl<E: LlamaEngine + 'static> Collection<E> {
    /// The chunks that fit a question best, best first; of equals the one that came in first. Nothing is found in an empty collection.
    ///
    /// # Errors
    /// [`crate::RagError::EmptyQuestion`]; those of the engine and the store.
    pub async fn search(&self, question: &str, options: &SearchOptions) -> Result<Vec<Hit>> {
        check_question(question)?;
        let depth = options.depth.max(options.num_hits);
        let allowed = self.memory.allowed(&options.filter);
        let allowed = allowed.as_deref();
        if self.memory.rows.is_empty() || allowed.is_some_and(|rows| !rows.contains(&true)) {
            return Ok(Vec::new());
        }
        let rows = match options.ranking {
            Ranking::Words => self.by_word(question, options.num_hits, allowed),
            Ranking::Vectors => self.by_meaning(question, options.num_hits, allowed).await?,
            Ranking::Fused => {
                let rows = |ranked: Vec<(u32, f32)>| ranked.into_iter().map(|(row, _)| row).collect();
                let by_word = rows(self.by_word(question, depth, allowed));
                fuse(&[rows(self.by_meaning(question, depth, allowed).await?), by_word], options.num_hits)
            }
        };
        let ids: Vec<u32> = rows.iter().map(|(row, _)| self.memory.rows[*row as usize].id).collect();
        let hit = |(chunk, (_, score)): (Chunk, (u32, f32))| {
            let metadata = self.metadata(&chunk.source).cloned().unwrap_or_default();
            Hit { chunk, score, metadata }
        };
        Ok(self.read_chunks(&ids)?.into_iter().zip(rows).map(hit).collect())
    }

    fn by_word(&self, question: &str, num_rows: usize, allowed: Option<&[bool]>) -> Vec<(u32, f32)> {
        let allowed = |row| allowed.is_none_or(|allowed| allowed[row as usize]);
        self.memory.words.search(question, num_rows, allowed)
    }

    async fn by_meaning(
        &self,
        question: &str,
        num_rows: usize,
        allowed: Option<&[bool]>,
    ) -> Result<Vec<(u32, f32)>> {
        let embedded = self.embedder.queries(&[question]).await?;
        let query = &embedded.vectors[0];
        let scan = |num_rows| self.memory.nearest(query, num_rows, allowed);
        let Rescoring::Times(times) = self.settings.vectors.rescoring else { return Ok(scan(num_rows)) };
        let rows: Vec<u32> =
            scan(num_rows.saturating_mul(times as usize)).into_iter().map(|(row, _)| row).collect();
        let ids: Vec<u32> = rows.iter().map(|row| self.memory.rows[*row as usize].id).collect();
        let stored = self.store.vectors(&ids)?;
        let whole: Option<Vec<_>> = stored.iter().map(|stored| self.memory.stored_to_whole(stored)).collect();
        let whole = whole.ok_or_else(|| self.store.damaged("a vector is not what was written"))?;
        Ok(rescore(query, rows.into_iter().zip(whole), num_rows))
    }
}
