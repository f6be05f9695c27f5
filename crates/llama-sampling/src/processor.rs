//! The seam at which a distribution can be changed.

use candle_core::Tensor;

use crate::SamplingError;

/// Changes logits before a token is drawn from them. Stateless: the same logits give the same result.
pub trait Processor: Send + Sync {
    /// Name of the processor, for messages.
    fn name(&self) -> &'static str;

    /// Rules a token out by giving it minus infinity.
    ///
    /// # Shapes
    /// `logits`: `[v]` in f32; result: the same.
    ///
    /// # Errors
    /// Candle's.
    fn process(&self, logits: Tensor) -> Result<Tensor, SamplingError>;
}

/// Applies `change` to the logits as a slice, wherever they live.
///
/// # Shapes
/// `logits`: `[v]`; result: the same.
pub(crate) fn map_row(logits: &Tensor, change: impl FnOnce(&mut [f32])) -> Result<Tensor, SamplingError> {
    let v = logits.dims1()?;
    let mut row = logits.to_vec1::<f32>()?;
    change(&mut row);
    Ok(Tensor::from_vec(row, v, logits.device())?) // [v]
}

/// Rules out every token that `keep` does not want.
pub(crate) fn retain(row: &mut [f32], keep: impl Fn(usize, f32) -> bool) {
    for (token, logit) in row.iter_mut().enumerate() {
        if !keep(token, *logit) {
            *logit = f32::NEG_INFINITY;
        }
    }
}
