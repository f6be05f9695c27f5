//! The definition: gather each sequence's keys and values, then scores, mask, softmax and weighted sum.

use candle_core::{D, DType, Tensor};

use super::{AttentionScope, CachedHeads, PagedLayout, PagedSpan};
use crate::BackendError;

/// # Shapes
/// `q`: `[t, h, d]`; `cache`: `[n * p, g, d]`; result: `[t, h, d]`.
pub(super) fn paged_attention(
    q: &Tensor,
    cache: CachedHeads<'_>,
    layout: &PagedLayout,
    scope: AttentionScope,
) -> Result<Tensor, BackendError> {
    let outputs = layout.spans().iter().map(|span| attend_span(q, cache, (layout, span), scope));
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::cat(&outputs, 0)?) // [t, h, d]
}

fn attend_span(
    q: &Tensor,
    cache: CachedHeads<'_>,
    (layout, span): (&PagedLayout, &PagedSpan),
    scope: AttentionScope,
) -> Result<Tensor, BackendError> {
    let (_, h, _) = q.dims3()?;
    let (t, s, dtype) = (span.rows.len(), span.first_position + span.rows.len(), q.dtype());
    let slots: Vec<u32> = (0..s).map(|position| layout.slot(span, position) as u32).collect();
    let slots = Tensor::new(slots, q.device())?;
    let keys = heads(cache.keys, &slots, h)?; // [h, s, d]
    let values = heads(cache.values, &slots, h)?; // [h, s, d]
    let q = q.narrow(0, span.rows.start, t)?.to_dtype(DType::F32)?; // scores in f32
    let q = q.transpose(0, 1)?.contiguous()?; // [h, t, d]
    let scores = (q.matmul(&keys.t()?)? * f64::from(scope.scale))?; // [h, t, s]
    let scores = scores.broadcast_add(&mask(span, scope, q.device())?)?;
    let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
    let mixed = weights.matmul(&values)?; // [h, t, d]
    Ok(mixed.transpose(0, 1)?.contiguous()?.to_dtype(dtype)?) // [t, h, d]
}

/// Gathers slots of the cache and repeats each KV head for its query heads.
///
/// # Shapes
/// `cache`: `[n * p, g, d]`; `slots`: `[s]`; result: `[h, s, d]` in f32.
fn heads(cache: &Tensor, slots: &Tensor, h: usize) -> Result<Tensor, BackendError> {
    let gathered = cache.index_select(slots, 0)?.to_dtype(DType::F32)?; // [s, g, d]
    let (s, g, d) = gathered.dims3()?;
    let by_head = gathered.transpose(0, 1)?.unsqueeze(1)?; // [g, 1, s, d]
    let repeated = by_head.broadcast_as((g, h / g, s, d))?.contiguous()?;
    Ok(repeated.reshape((h, s, d))?) // [h, s, d]
}

/// Zero where a row may look, minus infinity elsewhere.
///
/// # Shapes
/// result: `[t, s]`.
fn mask(
    span: &PagedSpan,
    scope: AttentionScope,
    device: &candle_core::Device,
) -> Result<Tensor, BackendError> {
    let (t, s) = (span.rows.len(), span.first_position + span.rows.len());
    let values = (span.first_position..s).flat_map(|position| {
        let visible = scope.first_visible(position)..=position;
        (0..s).map(move |other| if visible.contains(&other) { 0.0 } else { f32::NEG_INFINITY })
    });
    Ok(Tensor::from_vec(values.collect::<Vec<_>>(), (t, s), device)?) // [t, s]
}
