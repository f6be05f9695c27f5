//! The definition, through Candle's rotary embedding.

use candle_core::Tensor;
use candle_nn::rotary_emb;

use super::{RopeLayout, Rotations};
use crate::BackendError;

/// # Shapes
/// `x`: `[t, h, d]`; result: the same.
pub(super) fn rope(x: &Tensor, rotations: &Rotations, layout: RopeLayout) -> Result<Tensor, BackendError> {
    let by_head = x.transpose(0, 1)?.contiguous()?.unsqueeze(0)?; // [1, h, t, d]
    let Rotations { cos, sin } = rotations;
    let rotated = match layout {
        RopeLayout::Halves => rotary_emb::rope(&by_head, cos, sin)?,
        RopeLayout::Pairs => rotary_emb::rope_i(&by_head, cos, sin)?,
    };
    Ok(rotated.squeeze(0)?.transpose(0, 1)?.contiguous()?) // [t, h, d]
}
