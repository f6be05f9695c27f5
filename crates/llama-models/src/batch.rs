//! One step's work: spans of new tokens from many sequences, flattened to rows.
//!
//! Prefill, chunked prefill, decode, verification of a draft and embedding are all spans; they differ in length and
//! in the output they want. Invariant of a [`Batch`]: spans are not empty and their block tables are long enough.

use std::ops::Range;

use candle_core::Tensor;
use llama_backend::ops::paged_attention::{PagedLayout, PagedSpan};

use crate::ModelError;

/// What a span wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nothing: a prompt's earlier chunk.
    Nothing,
    /// Logits after the last token.
    LastLogits,
    /// Logits after every token.
    AllLogits,
    /// The normed hidden state of every token.
    HiddenStates,
}

/// New tokens of one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The tokens, at least one.
    pub tokens: Vec<u32>,
    /// Position of the first; everything before it is cached.
    pub first_position: usize,
    /// The sequence's block table, up to the last new token.
    pub blocks: Vec<u32>,
    /// What is wanted.
    pub output: Output,
}

/// Spans, one after another.
///
/// # Shapes
/// `tokens`: `[t]`
#[derive(Clone, Debug)]
pub struct Batch {
    pub(crate) tokens: Vec<u32>,
    pub(crate) layout: PagedLayout,
    outputs: Vec<Output>,
}

/// Results of a step, one per span, in order, on the CPU.
///
/// # Shapes
/// `[1, v]` for last logits, `[t, v]` for all logits, `[t, e]` for hidden states of a span of t tokens.
pub type Outputs = Vec<Option<Tensor>>;

impl Batch {
    /// Flattens spans. `block_len` is the cache's.
    ///
    /// # Errors
    /// [`ModelError::Backend`] if a span is empty or its block table too short.
    pub fn new(spans: Vec<Span>, block_len: usize) -> Result<Self, ModelError> {
        let (mut tokens, mut outputs, mut paged) = (Vec::new(), Vec::new(), Vec::new());
        for span in spans {
            let rows = tokens.len()..tokens.len() + span.tokens.len();
            tokens.extend(span.tokens);
            outputs.push(span.output);
            paged.push(PagedSpan { rows, first_position: span.first_position, blocks: span.blocks });
        }
        Ok(Self { tokens, layout: PagedLayout::new(paged, block_len)?, outputs })
    }

    /// Rows of all spans, t.
    pub fn num_rows(&self) -> usize {
        self.tokens.len()
    }

    /// The tokens of all rows.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Which rows belong to which sequence, and where their keys and values lie.
    pub fn layout(&self) -> &PagedLayout {
        &self.layout
    }

    /// What each span wants.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The rows that are wanted, and where these alone stand in their sequences.
    pub(crate) fn wanted_rows(&self) -> Result<(Vec<u32>, PagedLayout), ModelError> {
        let (mut wanted, mut spans) = (Vec::new(), Vec::new());
        for (span, (_, rows)) in self.layout.spans().iter().zip(self.wanted()) {
            if !rows.is_empty() {
                spans.push(PagedSpan {
                    rows: wanted.len()..wanted.len() + rows.len(),
                    first_position: span.first_position + rows.start - span.rows.start,
                    blocks: span.blocks.clone(),
                });
                wanted.extend(rows.map(|row_idx| row_idx as u32));
            }
        }
        Ok((wanted, PagedLayout::new(spans, self.layout.block_len())?))
    }

    /// Rows that are wanted, span by span: for logits, and for hidden states.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = (Output, Range<usize>)> + '_ {
        self.layout.spans().iter().zip(&self.outputs).map(|(span, &output)| {
            let rows = match output {
                Output::Nothing => span.rows.end..span.rows.end,
                Output::LastLogits => span.rows.end - 1..span.rows.end,
                Output::AllLogits | Output::HiddenStates => span.rows.clone(),
            };
            (output, rows)
        })
    }
}
