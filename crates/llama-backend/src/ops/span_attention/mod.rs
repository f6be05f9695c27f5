//! Attention of a flat batch in which every row sees its whole text, before and after itself: that of encoders
//! (Vaswani et al., arXiv:1706.03762, equation 1). Texts lie one after another, so there is no padding and no mask.

mod cpu;
mod reference;
mod spans;

use candle_core::Tensor;

pub use spans::Spans;

use super::{Kernels, Op, Path, count};
use crate::BackendError;

/// Each row attends to all rows of its span; scores are scaled by `1 / sqrt(d)`.
///
/// # Shapes
/// `qkv`: `[t, 3 h d]`, queries, keys and values side by side, contiguous; result: `[t, h d]`.
///
/// # Errors
/// [`BackendError::Argument`] if `qkv`, `spans` and `num_heads` do not fit; Candle's otherwise.
pub fn span_attention(
    qkv: &Tensor,
    spans: &Spans,
    num_heads: usize,
    kernels: Kernels,
) -> Result<Tensor, BackendError> {
    let (t, width) = qkv.dims2()?;
    if t != spans.num_rows() || num_heads == 0 || width == 0 || !width.is_multiple_of(3 * num_heads) {
        let reason = format!("qkv {:?}, {} rows in spans, {num_heads} heads", qkv.dims(), spans.num_rows());
        return Err(BackendError::Argument { op: "span_attention", reason });
    }
    match count::choose(Op::SpanAttention, qkv.device(), kernels) {
        Path::Cpu => Ok(qkv.apply_op1_no_bwd(&cpu::SpanAttentionCpu { spans, num_heads })?),
        _ => reference::span_attention(qkv, spans, num_heads),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;
    use crate::ops::linear::tests::values;

    fn input(t: usize, width: usize) -> Tensor {
        let values = values(t * width, 3).into_iter().map(|x| 3.0 * x).collect();
        Tensor::from_vec(values, (t, width), &Device::Cpu).unwrap()
    }

    fn run(qkv: &Tensor, lens: &[usize], num_heads: usize, kernels: Kernels) -> Vec<Vec<f32>> {
        let spans = Spans::of_lens(lens.iter().copied()).unwrap();
        span_attention(qkv, &spans, num_heads, kernels).unwrap().to_vec2().unwrap()
    }

    fn check(lens: &[usize], (h, d): (usize, usize)) {
        let qkv = input(lens.iter().sum(), 3 * h * d);
        let fast = run(&qkv, lens, h, Kernels::Native).concat();
        for (fast, slow) in fast.into_iter().zip(run(&qkv, lens, h, Kernels::Reference).concat()) {
            assert!((fast - slow).abs() <= 2e-5, "{lens:?}: {fast} {slow}");
        }
    }

    #[test]
    fn cpu_is_close_to_the_reference() {
        for heads in [(12, 32), (2, 64), (3, 16), (2, 20), (1, 1), (2, 9)] {
            check(&[1], heads);
            check(&[7, 1, 40, 12], heads);
            check(&[33, 100], heads);
        }
        check(&[512], (2, 32));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_text_does_not_depend_on_its_batch(
            lens in prop::collection::vec(1usize..70, 1..6), d in prop::sample::select(vec![12usize, 16, 32, 64]),
        ) {
            let qkv = input(lens.iter().sum(), 3 * 2 * d);
            let bits = |rows: &[Vec<f32>]| rows.concat().into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let whole = run(&qkv, &lens, 2, Kernels::Native);
            let mut start = 0;
            for len in lens {
                let alone = run(&qkv.narrow(0, start, len).unwrap(), &[len], 2, Kernels::Native);
                prop_assert!(bits(&whole[start..start + len]) == bits(&alone));
                start += len;
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let spans = Spans::of_lens([2, 3]).unwrap();
        let error = span_attention(&input(4, 12), &spans, 2, Kernels::Native).unwrap_err();
        assert_eq!(error.to_string(), "span_attention: qkv [4, 12], 5 rows in spans, 2 heads");
        assert!(span_attention(&input(5, 12), &spans, 3, Kernels::Native).is_err());
        assert_eq!(Spans::of_lens([2, 0]).unwrap_err().to_string(), "span_attention: span 1 is empty");
    }
}
