//! How far the rows of a tensor on a GPU are apart, so that kernels read strided views without a copy.

use candle_core::{D, Tensor};

use crate::BackendError;

/// A tensor of rank 1 to 3 as rows: `num_outer` times `num_inner` of them, and the distances in values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) struct RowStrides {
    pub(in crate::ops) num_outer: usize,
    pub(in crate::ops) num_inner: usize,
    pub(in crate::ops) outer: usize,
    pub(in crate::ops) inner: usize,
}

impl RowStrides {
    /// Those of a tensor that [`contiguous_rows`] returned.
    pub(in crate::ops) fn of(x: &Tensor) -> Self {
        match (x.dims(), x.stride()) {
            (&[outer, inner, _], &[outer_stride, inner_stride, _]) => {
                Self { num_outer: outer, num_inner: inner, outer: outer_stride, inner: inner_stride }
            }
            (&[inner, _], &[inner_stride, _]) => {
                Self { num_outer: 1, num_inner: inner, outer: 0, inner: inner_stride }
            }
            _ => Self { num_outer: 1, num_inner: 1, outer: 0, inner: 0 },
        }
    }
}

/// `x` itself if its last dimension is contiguous and its rank at most 3, else a copy of that form.
pub(in crate::ops) fn contiguous_rows(x: &Tensor) -> Result<Tensor, BackendError> {
    let last_stride = x.stride().last().copied().unwrap_or(1);
    let is_contiguous = last_stride == 1 || x.dim(D::Minus1)? == 1;
    Ok(match x.rank() {
        1..=3 if is_contiguous => x.clone(),
        1..=3 => x.contiguous()?,
        _ => x.contiguous()?.flatten_to(D::Minus2)?,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn views_keep_their_distances() {
        let x = Tensor::zeros((4, 6, 8), DType::F32, &Device::Cpu).unwrap();
        let heads = contiguous_rows(&x.narrow(1, 2, 3).unwrap()).unwrap();
        let expected = RowStrides { num_outer: 4, num_inner: 3, outer: 48, inner: 8 };
        assert_eq!(RowStrides::of(&heads), expected);
        let turned = contiguous_rows(&x.transpose(1, 2).unwrap()).unwrap();
        assert_eq!(RowStrides::of(&turned), RowStrides { num_outer: 4, num_inner: 8, outer: 48, inner: 6 });
        let row = x.flatten_all().unwrap();
        assert_eq!(RowStrides::of(&row), RowStrides { num_outer: 1, num_inner: 1, outer: 0, inner: 0 });
    }
}
