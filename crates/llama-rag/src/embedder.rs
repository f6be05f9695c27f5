//! [`Embedder`]: texts to vectors, through an engine.

use std::sync::Arc;

use llama_engine::{EmbedInput, EmbedRequest, LlamaEngine, Overlong, Priority};

use crate::{RagError, error::Result};

/// Turns chunks and questions into vectors of length one, with the model's own prefixes for each.
#[derive(Debug)]
pub struct Embedder<E> {
    engine: Arc<E>,
    overlong: Overlong,
    priority: Priority,
}

impl<E> Clone for Embedder<E> {
    fn clone(&self) -> Self {
        Self { engine: self.engine.clone(), overlong: self.overlong, priority: self.priority }
    }
}

/// Vectors, and what they cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embedded {
    /// # Shapes
    /// `[texts, dimensions]`
    pub vectors: Vec<Vec<f32>>,
    /// Tokens read.
    pub num_tokens: usize,
}

impl<E: LlamaEngine> Embedder<E> {
    /// Texts that go to the engine at a time; it batches them as it likes.
    pub const BATCH_LEN: usize = 64;

    /// Embeds with this engine.
    pub fn new(engine: Arc<E>) -> Self {
        Self { engine, overlong: Overlong::Refuse, priority: Priority::default() }
    }

    /// Goes before or after other work of the engine. A low priority suits indexing beside people who wait for answers.
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Refuses or cuts texts that are longer than the model reads.
    pub fn with_overlong(mut self, overlong: Overlong) -> Self {
        self.overlong = overlong;
        self
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<E> {
        &self.engine
    }

    /// Components of a vector.
    pub fn dimensions(&self) -> usize {
        self.engine.info().embedding.len
    }

    /// Vectors of texts that shall be found, in their order.
    ///
    /// # Errors
    /// Those of the engine, and [`RagError::UnusableVector`].
    pub async fn documents(&self, texts: &[&str]) -> Result<Embedded> {
        self.embed(texts, EmbedInput::Document).await
    }

    /// Vectors of questions, in their order.
    ///
    /// # Errors
    /// Those of the engine, and [`RagError::UnusableVector`].
    pub async fn queries(&self, texts: &[&str]) -> Result<Embedded> {
        self.embed(texts, EmbedInput::Query).await
    }

    async fn embed(&self, texts: &[&str], input: EmbedInput) -> Result<Embedded> {
        let mut all = Embedded::default();
        for batch in texts.chunks(Self::BATCH_LEN) {
            let request = EmbedRequest {
                input,
                overlong: self.overlong,
                priority: self.priority,
                ..EmbedRequest::new(batch.iter().copied())
            };
            let embeddings = self.engine.embed(request).await?;
            all.num_tokens += embeddings.usage.prompt_tokens;
            all.vectors.extend(embeddings.vectors);
        }
        check(&all.vectors, texts.len(), self.dimensions())?;
        Ok(all)
    }
}

/// Whether there is a vector for each text, of the length promised and of finite numbers.
fn check(vectors: &[Vec<f32>], num_texts: usize, expected: usize) -> Result<()> {
    if vectors.len() != num_texts {
        return Err(RagError::UnusableVector { len: 0, expected });
    }
    match vectors.iter().find(|vector| vector.len() != expected || !vector.iter().all(|x| x.is_finite())) {
        Some(vector) => Err(RagError::UnusableVector { len: vector.len(), expected }),
        None => Ok(()),
    }
}
