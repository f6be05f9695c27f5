//! Causal attention of a flat batch over the paged cache (Kwon et al., arXiv:2309.06180; GQA: arXiv:2305.13245).

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod device_layout;
mod layout;
#[cfg(feature = "metal")]
mod metal;
mod reference;
mod run;

use candle_core::Tensor;

pub use layout::{PagedLayout, PagedSpan};

use super::{Kernels, Op, Path, count};
use crate::BackendError;

/// What the scores are multiplied with, and how far back a row sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionScope {
    /// Factor of the scores, usually `1 / sqrt(d)`.
    pub scale: f32,
    /// Number of positions that a row sees, its own included; all of them if absent.
    pub window: Option<usize>,
}

impl AttentionScope {
    /// First position that a row at `position` sees.
    pub(crate) fn first_visible(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }
}

/// The cached keys and values of one layer.
#[derive(Clone, Copy, Debug)]
pub struct CachedHeads<'a> {
    /// `[n * p, g, d]`
    pub keys: &'a Tensor,
    /// `[n * p, g, d]`
    pub values: &'a Tensor,
}

/// Each row attends to the cached positions of its own sequence up to and including its own, which must have been
/// written before.
///
/// # Shapes
/// `q`: `[t, h, d]`, contiguous; `cache`: `[n * p, g, d]` each, `h` a multiple of `g`; result: `[t, h, d]`.
///
/// # Errors
/// [`BackendError::Argument`] if `q`, `layout` and `cache` do not fit; Candle's otherwise.
pub fn paged_attention(
    q: &Tensor,
    cache: CachedHeads<'_>,
    layout: &PagedLayout,
    scope: AttentionScope,
    kernels: Kernels,
) -> Result<Tensor, BackendError> {
    let (t, h, d) = q.dims3()?;
    let (num_slots, g, cache_d) = cache.keys.dims3()?;
    let same = cache.values.dims() == cache.keys.dims();
    if t != layout.num_rows()
        || d != cache_d
        || g == 0
        || !h.is_multiple_of(g)
        || !same
        || scope.window == Some(0)
    {
        return Err(BackendError::Argument {
            op: "paged_attention",
            reason: format!(
                "q {:?}, {} rows, keys {:?}, values {:?}, window {:?}",
                q.dims(),
                layout.num_rows(),
                cache.keys.dims(),
                cache.values.dims(),
                scope.window
            ),
        });
    }
    layout.check_blocks(num_slots)?;
    match count::choose(Op::PagedAttention, q.device(), kernels) {
        Path::Cpu => {
            let op = cpu::PagedAttentionCpu { layout, scope };
            Ok(q.apply_op3_no_bwd(cache.keys, cache.values, &op)?)
        }
        #[cfg(feature = "metal")]
        Path::Metal => metal::paged_attention(q, cache, layout, scope),
        #[cfg(feature = "cuda")]
        Path::Cuda => cuda::paged_attention(q, cache, layout, scope),
        _ => reference::paged_attention(q, cache, layout, scope),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;
    use crate::ops::linear::tests::values;

    /// A small problem: sequences of given `(first position, new rows)`, blocks dealt in a scattered order.
    struct Case {
        q: Tensor,
        keys: Tensor,
        values: Tensor,
        layout: PagedLayout,
        scope: AttentionScope,
    }

    fn case(
        (h, g, d): (usize, usize, usize),
        spans: &[(usize, usize)],
        block_len: usize,
        window: Option<usize>,
    ) -> Case {
        let num_blocks: usize = spans.iter().map(|(first, len)| (first + len).div_ceil(block_len)).sum();
        let mut next_block = 0;
        let mut next_row = 0;
        let paged = spans.iter().map(|&(first_position, len)| {
            let deal = |i: usize| ((next_block + i) * 7 % num_blocks.max(1)) as u32;
            let count = (first_position + len).div_ceil(block_len);
            // 7 and the number of blocks are coprime or the table repeats a block: either is a valid table.
            let blocks = (0..count).map(deal).collect();
            next_block += count;
            next_row += len;
            PagedSpan { rows: next_row - len..next_row, first_position, blocks }
        });
        let layout = PagedLayout::new(paged.collect(), block_len).unwrap();
        let tensor = |rows, heads, seed| {
            Tensor::from_vec(values(rows * heads * d, seed), (rows, heads, d), &Device::Cpu).unwrap()
        };
        Case {
            q: tensor(next_row, h, 1),
            keys: tensor(num_blocks * block_len, g, 2),
            values: tensor(num_blocks * block_len, g, 3),
            layout,
            scope: AttentionScope { scale: 1.0 / (d as f32).sqrt(), window },
        }
    }

    fn run(case: &Case, kernels: Kernels) -> Vec<f32> {
        let cache = CachedHeads { keys: &case.keys, values: &case.values };
        let y = paged_attention(&case.q, cache, &case.layout, case.scope, kernels).unwrap();
        assert_eq!(y.dims(), case.q.dims());
        y.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn check(case: &Case) {
        for (fast, slow) in run(case, Kernels::Native).iter().zip(run(case, Kernels::Reference)) {
            assert!((fast - slow).abs() <= 2e-6, "{fast} {slow}");
        }
    }

    #[test]
    fn one_row_and_long_contexts() {
        check(&case((1, 1, 16), &[(0, 1)], 16, None));
        check(&case((9, 3, 64), &[(300, 1)], 16, None));
        check(&case((4, 2, 32), &[(127, 1), (128, 1), (129, 1)], 16, None));
    }

    #[test]
    fn windows() {
        check(&case((4, 2, 32), &[(0, 40)], 16, Some(1)));
        check(&case((4, 2, 32), &[(150, 20)], 8, Some(16)));
        check(&case((4, 2, 32), &[(290, 3)], 8, Some(200)));
    }

    #[test]
    fn wrong_shapes_are_refused() {
        let case = case((4, 2, 32), &[(3, 2)], 4, None);
        let narrow = case.keys.narrow(0, 0, 4).unwrap();
        let cache = CachedHeads { keys: &narrow, values: &narrow };
        assert!(paged_attention(&case.q, cache, &case.layout, case.scope, Kernels::Native).is_err());
        assert!(
            PagedLayout::new(vec![PagedSpan { rows: 0..2, first_position: 3, blocks: vec![0] }], 4).is_err()
        );
        assert!(
            PagedLayout::new(vec![PagedSpan { rows: 1..2, first_position: 0, blocks: vec![0] }], 4).is_err()
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn cpu_is_close_to_the_reference(
            g in 1usize..4, ratio in 1usize..5, d in prop::sample::select(vec![2usize, 16, 20, 64, 96]),
            spans in prop::collection::vec((0usize..150, 1usize..20), 1..5),
            block_len in 1usize..33, window in prop::option::of(1usize..80),
        ) {
            check(&case((g * ratio, g, d), &spans, block_len, window));
        }

        #[test]
        fn a_row_does_not_depend_on_its_neighbours(
            g in 1usize..3, ratio in 1usize..8, d in prop::sample::select(vec![16usize, 20, 32, 64, 80, 128]),
            first in 0usize..300, len in 1usize..70, block_len in 1usize..33,
            window in prop::option::of(1usize..200),
        ) {
            let mut case = case((g * ratio, g, d), &[(first, len)], block_len, window);
            let bits = |case: &Case| run(case, Kernels::Native).into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let whole = bits(&case);
            let blocks = &case.layout.spans()[0].blocks;
            let alone = (0..len).map(|row| {
                PagedSpan { rows: row..row + 1, first_position: first + row, blocks: blocks.clone() }
            });
            case.layout = PagedLayout::new(alone.collect(), block_len).unwrap();
            prop_assert!(whole == bits(&case));
        }
    }
}
