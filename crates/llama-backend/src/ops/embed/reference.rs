//! The definition: `index_select` on the decoded table.

use candle_core::Tensor;

use crate::{BackendError, weight::Weight};

/// # Shapes
/// `table`: `[v, e]`; result: `[t, e]`.
pub(super) fn embed(tokens: &[u32], table: &Weight) -> Result<Tensor, BackendError> {
    let table = table.tensor()?;
    let tokens = Tensor::new(tokens, table.device())?;
    Ok(table.index_select(&tokens, 0)?) // [t, e]
}
