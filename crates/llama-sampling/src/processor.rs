//! The seam at which a distribution can be changed.

use candle_core::Tensor;

use crate::{History, SamplingError};

/// Changes logits before a token is drawn from them. Whoever implements it derives [`Clone`] as well: speculation
/// drafts with a copy.
///
/// Invariant: what a processor gives depends on the logits, the history and the tokens accepted so far; not on how
/// often it was asked, nor on a clock or a generator that advances. Randomness comes from [`crate::uniform`].
pub trait Processor: CloneProcessor + Send {
    /// Name of the processor, for messages.
    fn name(&self) -> &'static str;

    /// Rules a token out by giving it minus infinity. May remember what it saw until [`Processor::accept`], and nothing
    /// beyond.
    ///
    /// # Shapes
    /// `logits`: `[v]` in f32; result: the same.
    ///
    /// # Errors
    /// Candle's, or the processor's own as [`SamplingError::Processor`].
    fn process(&mut self, logits: Tensor, history: &History<'_>) -> Result<Tensor, SamplingError>;

    /// Notes that `token` was chosen from what [`Processor::process`] gave last. The token that ends an answer is
    /// accepted as well; nothing follows it.
    ///
    /// # Errors
    /// The processor's own, as [`SamplingError::Processor`].
    fn accept(&mut self, token: u32) -> Result<(), SamplingError> {
        let _ = token;
        Ok(())
    }
}

/// Copies a boxed processor with its state. Every processor that is [`Clone`] has it.
pub trait CloneProcessor {
    /// The copy.
    fn clone_box(&self) -> Box<dyn Processor>;
}

impl<T: Processor + Clone + 'static> CloneProcessor for T {
    fn clone_box(&self) -> Box<dyn Processor> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Processor> {
    fn clone(&self) -> Self {
        // Through the reference: the box itself must not be asked, it would ask itself again.
        (**self).clone_box()
    }
}
