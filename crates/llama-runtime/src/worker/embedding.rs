//! Embedding requests: one sequence per text, hidden states pooled as they come, one answer for all.

use std::{cell::RefCell, rc::Rc};

use candle_core::Tensor;
use llama_engine::{EngineError, Normalization, Pooling};

use super::Reply;

/// The request that several texts belong to. Shared by their sequences, on the worker's thread only.
pub(super) struct Collector {
    vectors: Vec<Option<Vec<f32>>>,
    reply: Option<Reply<Vec<Vec<f32>>>>,
}

impl Collector {
    pub(super) fn new(num_texts: usize, reply: Reply<Vec<Vec<f32>>>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { vectors: vec![None; num_texts], reply: Some(reply) }))
    }

    /// Whether the request has failed or nobody waits for it.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_none_or(Reply::is_canceled)
    }

    /// Answers with the first failure; the other texts are abandoned.
    pub(super) fn fail(&mut self, error: EngineError) {
        if let Some(reply) = self.reply.take() {
            // A caller that has gone needs no answer.
            let _ = reply.send(Err(error));
        }
    }

    fn put(&mut self, text_idx: usize, vector: Vec<f32>) {
        self.vectors[text_idx] = Some(vector);
        if self.vectors.iter().all(Option::is_some)
            && let Some(reply) = self.reply.take()
        {
            let _ = reply.send(Ok(std::mem::take(&mut self.vectors).into_iter().flatten().collect()));
        }
    }
}

/// One text.
pub(super) struct Embedding {
    pub(super) collector: Rc<RefCell<Collector>>,
    pub(super) text_idx: usize,
    pub(super) pooling: Pooling,
    pub(super) normalization: Normalization,
    pub(super) dimensions: usize,
    /// Weighted sum of the states so far, and of the weights.
    pub(super) sum: Vec<f32>,
    pub(super) weight: f32,
}

impl Embedding {
    /// Adds the states of positions from `first_position` on. In order and one at a time, so that neither chunks nor
    /// other texts show in the bits.
    ///
    /// # Shapes
    /// `states`: `[t, e]`
    pub(super) fn add(&mut self, states: &Tensor, first_position: usize) -> Result<(), EngineError> {
        if first_position == 0 {
            // A preempted text begins again.
            (self.sum, self.weight) = (Vec::new(), 0.0);
        }
        let rows = states.to_vec2::<f32>().map_err(|source| EngineError::Model(Box::new(source)))?; // [t, e]
        for (position, row) in (first_position..).zip(rows) {
            let weight = match self.pooling {
                Pooling::Mean => 1.0,
                Pooling::WeightedMean => (position + 1) as f32,
                Pooling::First if position > 0 => continue,
                Pooling::First | Pooling::Last => {
                    (self.sum, self.weight) = (row, 1.0);
                    continue;
                }
            };
            self.sum.resize(row.len(), 0.0);
            for (sum, state) in self.sum.iter_mut().zip(row) {
                *sum += weight * state;
            }
            self.weight += weight;
        }
        Ok(())
    }

    /// Pools, cuts, normalises and hands the vector in, or the news that the model is broken.
    pub(super) fn finish(mut self) {
        if let Some(idx) = self.sum.iter().position(|x| !x.is_finite()) {
            let error = NotFinite { idx, found: self.sum[idx] };
            return self.collector.borrow_mut().fail(EngineError::Model(Box::new(error)));
        }
        self.sum.truncate(self.dimensions);
        let mut scale = 1.0 / self.weight;
        if self.normalization == Normalization::L2 {
            let length = self.sum.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
            scale = if length > 0.0 { 1.0 / length } else { 0.0 };
        }
        self.sum.iter_mut().for_each(|x| *x *= scale);
        self.collector.borrow_mut().put(self.text_idx, self.sum);
    }
}

/// The model's weights or its computation are broken.
#[derive(Debug, thiserror::Error)]
#[error("component {idx} of the hidden states is {found}")]
struct NotFinite {
    idx: usize,
    found: f32,
}
