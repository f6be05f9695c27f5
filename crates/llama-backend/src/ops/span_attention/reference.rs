//! The definition: softmax of the scaled scores, span by span and for all heads at once.

use candle_core::{D, DType, Tensor};

use super::Spans;
use crate::BackendError;

/// # Shapes
/// `qkv`: `[t, 3 h d]`; result: `[t, h d]`.
pub(super) fn span_attention(qkv: &Tensor, spans: &Spans, num_heads: usize) -> Result<Tensor, BackendError> {
    let (_t, width) = qkv.dims2()?;
    let (h, d) = (num_heads, width / 3 / num_heads);
    let scale = 1.0 / (d as f64).sqrt();
    let mut mixed = Vec::new();
    for span in spans.iter() {
        let len = span.len();
        if len == 1 {
            mixed.push(qkv.narrow(0, span.start, 1)?.narrow(1, 2 * h * d, h * d)?); // sees its own value alone: [1, h d]
            continue;
        }
        let heads = qkv.narrow(0, span.start, len)?.reshape((len, 3, h, d))?.permute((1, 2, 0, 3))?; // [3, h, s, d]
        let part = |i| heads.get(i)?.contiguous(); // [h, s, d]
        let scores = (part(0)? * scale)?.matmul(&part(1)?.t()?)?.to_dtype(DType::F32)?; // [h, s, s]
        let weights = candle_nn::ops::softmax(&scores, D::Minus1)?.to_dtype(qkv.dtype())?;
        mixed.push(weights.matmul(&part(2)?)?.transpose(0, 1)?.reshape((len, h * d))?); // [s, h d]
    }
    Ok(Tensor::cat(&mixed, 0)?) // [t, h d]
}
