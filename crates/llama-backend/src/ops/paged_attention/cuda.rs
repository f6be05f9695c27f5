//! The CUDA path: rows of short spans one by one, long spans in tiles on the tensor cores.
//!
//! Which kernel computes a row depends on its span's length, and how positions are shared out among blocks on the
//! longest sequence; so results do not depend on a batch only up to rounding.

use candle_core::{CudaDevice, DType, Tensor};

use super::{AttentionScope, CachedHeads, PagedLayout, device_layout::DeviceLayout};
use crate::{
    BackendError,
    cuda::{Argument, Grid, Kernel, device_of, place, uninitialized, vector_len},
};

const OP: &str = "paged_attention";
const ROW_CONSTANTS: &[&str] = &["HEAD", "STEP", "LANES", "STEPS", "QUERIES", "THREADS"];
const ROWS: Kernel =
    Kernel { entry: "attend_rows", source: include_str!("rows.cu"), constants: ROW_CONSTANTS };
const MERGE: Kernel = Kernel { entry: "merge", source: include_str!("rows.cu"), constants: ROW_CONSTANTS };
const TILES: Kernel =
    Kernel { entry: "attend_tiles", source: include_str!("tiles.cu"), constants: &["HEAD"] };
/// Spans of as many rows are computed in tiles.
const MIN_TILED: usize = 16;
/// Rows of a tile, and positions.
const TILE: usize = 64;
const TILE_THREADS: usize = 128;
/// Widest head whose tiles stay in registers.
const MAX_TILED_HEAD: usize = 128;
const ROW_THREADS: usize = 256;
/// Most query heads of a block: each keeps sums in registers.
const MAX_QUERIES: usize = 4;
/// Up to so many positions, a second kernel costs more than it saves.
const MAX_WHOLE_LEN: usize = 256;
/// Fewest positions of a part, and as many blocks as keep a large GPU busy.
const MIN_PART_LEN: usize = 128;
const ENOUGH_BLOCKS: usize = 256;

/// # Shapes
/// `q`: `[t, h, d]`; `cache`: `[n * p, g, d]`; result: `[t, h, d]`.
pub(super) fn paged_attention(
    q: &Tensor,
    cache: CachedHeads<'_>,
    layout: &PagedLayout,
    scope: AttentionScope,
) -> Result<Tensor, BackendError> {
    let attention = Attention::new(q, cache, layout, scope)?;
    let y = uninitialized(&attention.device, q.shape(), q.dtype())?;
    let longest_span = layout.spans().iter().map(|span| span.rows.len()).max().unwrap_or(0);
    let shortest_span = layout.spans().iter().map(|span| span.rows.len()).min().unwrap_or(0);
    if longest_span >= attention.min_tiled {
        attention.tiles(&y, (longest_span, layout.spans().len()))?;
    }
    if shortest_span < attention.min_tiled {
        attention.rows(&y)?;
    }
    Ok(y) // [t, h, d]
}

/// What both kernels need.
struct Attention {
    device: CudaDevice,
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    layout: DeviceLayout,
    scope: AttentionScope,
    block_len: usize,
    /// `(h, g, d)`
    heads: (usize, usize, usize),
    /// Spans of fewer rows are computed row by row.
    min_tiled: usize,
}

impl Attention {
    fn new(
        q: &Tensor,
        cache: CachedHeads<'_>,
        layout: &PagedLayout,
        scope: AttentionScope,
    ) -> Result<Self, BackendError> {
        let ((_t, h, d), (_, g, _)) = (q.dims3()?, cache.keys.dims3()?);
        let fits = |cache: &Tensor| cache.dtype() == q.dtype() && cache.is_contiguous();
        if !fits(cache.keys) || !fits(cache.values) {
            let reason = format!("{:?} beside a cache of {:?}", q.dtype(), cache.keys.dtype());
            return Err(BackendError::Argument { op: OP, reason });
        }
        let is_tiled = q.dtype() != DType::F32 && d.is_multiple_of(16) && d <= MAX_TILED_HEAD;
        Ok(Self {
            device: device_of(q)?,
            q: q.contiguous()?,
            keys: cache.keys.clone(),
            values: cache.values.clone(),
            layout: layout.on(q.device())?,
            scope,
            block_len: layout.block_len(),
            heads: (h, g, d),
            min_tiled: if is_tiled { MIN_TILED } else { i32::MAX as usize },
        })
    }

    /// Spans of `min_tiled` rows or more.
    fn tiles(&self, y: &Tensor, (longest_span, num_spans): (usize, usize)) -> Result<(), BackendError> {
        let (h, _g, d) = self.heads;
        let kernel = TILES.load(&self.device, self.q.dtype(), &[d])?;
        // One tile of queries, two each of keys and values, in padded lines.
        let shared_bytes = 5 * TILE * (d + 8) * self.q.dtype().size_in_bytes();
        kernel.allow_shared(shared_bytes)?;
        let mut arguments = vec![Argument::Address(place(OP, y)?.address)];
        arguments.extend(self.tensors()?);
        arguments.extend([
            Argument::Address(place(OP, &self.layout.spans)?.address),
            Argument::Address(place(OP, &self.layout.blocks)?.address),
        ]);
        arguments.extend(self.counts()?);
        arguments.extend([Argument::count(OP, self.min_tiled)?, Argument::Factor(self.scope.scale)]);
        let blocks = (longest_span.div_ceil(TILE), h, num_spans);
        let grid = Grid { blocks, threads: TILE_THREADS, shared_bytes };
        // SAFETY: tables were checked against the cache and are as long as their spans; blocks beyond a span end at once,
        // and the others write rows of their span.
        unsafe { kernel.launch(&self.device, grid, &arguments) }
    }

    /// Spans of fewer than `min_tiled` rows.
    fn rows(&self, y: &Tensor) -> Result<(), BackendError> {
        let ((t, h, d), (_, g, _)) = (self.q.dims3()?, self.heads);
        let constants = self.row_constants()?;
        let queries = constants[4];
        let (num_parts, part_len) = self.parts(t * h / queries);
        let parts_len = if num_parts == 1 { 0 } else { t * h * num_parts * (d + 2) };
        let parts = uninitialized(&self.device, parts_len.max(1), DType::F32)?;
        let kernel = ROWS.load(&self.device, self.q.dtype(), &constants)?;
        let layout = &self.layout;
        let mut arguments =
            vec![Argument::Address(place(OP, y)?.address), Argument::Address(place(OP, &parts)?.address)];
        arguments.extend(self.tensors()?);
        for tensor in [&layout.rows, &layout.spans, &layout.blocks] {
            arguments.push(Argument::Address(place(OP, tensor)?.address));
        }
        arguments.extend(self.counts()?);
        arguments.extend([
            Argument::count(OP, part_len)?,
            Argument::count(OP, self.min_tiled)?,
            Argument::Factor(self.scope.scale),
        ]);
        debug_assert!(h.is_multiple_of(g), "paged_attention checked it");
        let grid = Grid::new((t, h / queries, num_parts), ROW_THREADS);
        // SAFETY: as above; with several parts, `parts` has room for each row, head and part.
        unsafe { kernel.launch(&self.device, grid, &arguments) }?;
        if num_parts > 1 { self.merge(y, &parts, (num_parts, &constants)) } else { Ok(()) }
    }

    fn merge(
        &self,
        y: &Tensor,
        parts: &Tensor,
        (num_parts, constants): (usize, &[usize]),
    ) -> Result<(), BackendError> {
        let (t, h, d) = self.q.dims3()?;
        let kernel = MERGE.load(&self.device, self.q.dtype(), constants)?;
        let arguments = [
            Argument::Address(place(OP, y)?.address),
            Argument::Address(place(OP, parts)?.address),
            Argument::Address(place(OP, &self.layout.rows)?.address),
            Argument::Address(place(OP, &self.layout.spans)?.address),
            Argument::count(OP, num_parts)?,
            Argument::count(OP, self.min_tiled)?,
        ];
        let grid = Grid::new((t, h, 1), d.next_multiple_of(32).min(ROW_THREADS));
        // SAFETY: `parts` holds each row, head and part; a block writes its row and head of `y`.
        unsafe { kernel.launch(&self.device, grid, &arguments) }
    }

    /// Number of parts of a row's positions, and their length.
    fn parts(&self, num_blocks: usize) -> (usize, usize) {
        let len = self.scope.window.map_or(self.layout.longest, |window| window.min(self.layout.longest));
        if len <= MAX_WHOLE_LEN {
            return (1, len.max(1));
        }
        let wanted = ENOUGH_BLOCKS.div_ceil(num_blocks.max(1));
        let part_len = len.div_ceil(wanted).max(MIN_PART_LEN);
        (len.div_ceil(part_len).max(1), part_len)
    }

    /// Values of [`ROW_CONSTANTS`].
    fn row_constants(&self) -> Result<[usize; 6], BackendError> {
        let (h, g, d) = self.heads;
        let places = [place(OP, &self.q)?, place(OP, &self.keys)?, place(OP, &self.values)?];
        let step = vector_len(&places, d);
        let lanes = d.div_ceil(step).next_power_of_two().min(32);
        let steps = d.div_ceil(step * lanes);
        let ratio = h / g;
        let queries = (1..=MAX_QUERIES).rev().find(|queries| ratio.is_multiple_of(*queries)).unwrap_or(1);
        Ok([d, step, lanes, steps, queries, ROW_THREADS])
    }

    fn tensors(&self) -> Result<[Argument; 3], BackendError> {
        let address = |tensor| Ok::<_, BackendError>(Argument::Address(place(OP, tensor)?.address));
        Ok([address(&self.q)?, address(&self.keys)?, address(&self.values)?])
    }

    fn counts(&self) -> Result<[Argument; 4], BackendError> {
        let (h, g, _d) = self.heads;
        // A window that holds every sequence is none.
        let window = self.scope.window.filter(|&window| window < self.layout.longest).unwrap_or(0);
        Ok([
            Argument::count(OP, h)?,
            Argument::count(OP, g)?,
            Argument::count(OP, self.block_len)?,
            Argument::count(OP, window)?,
        ])
    }
}
