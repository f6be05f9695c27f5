//! The Metal path: spans of few rows by row and chunk of positions, spans of many rows in tiles.

use candle_core::{DType, Tensor};

use super::{AttentionScope, CachedHeads, PagedLayout, device_layout::DeviceLayout};
use crate::{
    BackendError,
    metal::{AttentionArgs, Dispatch, Kernel, Operand, Output, Source, format, suffix},
};

/// Spans of at least so many rows go in tiles, if there is one for their head size.
const MIN_TILE_ROWS: usize = 8;
/// Fewer positions than these are not split.
const MIN_CHUNK_LEN: usize = 128;
/// So many threadgroups keep a GPU busy: rows and heads that reach it are not split.
const ENOUGH_GROUPS: usize = 1024;
/// Simdgroups that share the positions of a row.
const ROW_SIMDGROUPS: usize = 4;

/// What all dispatches of a step's layer bind.
struct Operands {
    q: Operand,
    keys: Operand,
    values: Operand,
    rows: Operand,
    spans: Operand,
    blocks: Operand,
    output: Output,
}

/// Head size, simdgroups and keys of the tiles that are compiled.
const TILES: [(usize, usize, usize); 6] =
    [(32, 4, 16), (64, 4, 16), (80, 4, 16), (96, 4, 16), (128, 4, 16), (256, 2, 8)];

/// # Shapes
/// `q`: `[t, h, d]`; `cache`: `[n * p, g, d]`; result: `[t, h, d]`.
pub(super) fn paged_attention(
    q: &Tensor,
    cache: CachedHeads<'_>,
    layout: &PagedLayout,
    scope: AttentionScope,
) -> Result<Tensor, BackendError> {
    let (_, h, d) = q.dims3()?;
    let (_, g, _) = cache.keys.dims3()?;
    check(cache, d)?;
    let on_device = layout.on(q.device())?;
    let operands = Operands::new(q, cache, &on_device)?;
    let tile = TILES.into_iter().find(|&(dim, ..)| dim == d);
    let min_tile_rows = tile.map_or(usize::MAX, |_| MIN_TILE_ROWS);
    let few = FewRows::new(layout, min_tile_rows, (h, on_device.longest));
    let arguments = AttentionArgs {
        num_heads: h as u32,
        num_kv_heads: g as u32,
        head_dim: d as u32,
        block_len: layout.block_len() as u32,
        q_row_stride: operands.q.stride(0),
        q_head_stride: operands.q.stride(1),
        window: scope.window.map_or(0, |window| u32::try_from(window).unwrap_or(0)), // longer than any sequence: none
        num_chunks: few.num_chunks as u32,
        chunk_len: few.chunk_len as u32,
        min_tile_rows: u32::try_from(min_tile_rows).unwrap_or(u32::MAX),
        scale: scope.scale,
        padding: 0,
    };
    let suffix = suffix("paged_attention", q.dtype())?;
    let kernel = |name: &str| {
        let constants = vec![format("paged_attention", cache.keys.dtype())?];
        Ok::<_, BackendError>(Kernel {
            source: Source::PagedAttention,
            function: format!("{name}_{suffix}"),
            constants,
        })
    };
    if few.num_rows > 0 {
        let parts = [1, 2, 4, 8].into_iter().find(|parts| d <= 32 * parts).expect("checked above");
        let attend = kernel(&format!("attend_rows_{parts}"))?;
        operands.attend_rows((&attend, &kernel("merge_chunks")?), &arguments, &few)?;
    }
    if let Some((dim, simdgroups, keys)) = tile {
        let longest = layout.spans().iter().map(|span| span.rows.len()).max().unwrap_or(0);
        if longest >= MIN_TILE_ROWS {
            let groups = [longest.div_ceil(8 * simdgroups), h, layout.spans().len()];
            let floats = 8 * simdgroups * dim + keys * dim + simdgroups * (8 * keys + 64);
            operands.attend_tiles(
                &kernel(&format!("attend_tile_{dim}"))?,
                &arguments,
                groups,
                (simdgroups, floats),
            )?;
        }
    }
    Ok(operands.output.into_tensor())
}

/// What the kernels expect beyond what every path does.
fn check(cache: CachedHeads<'_>, d: usize) -> Result<(), BackendError> {
    let CachedHeads { keys, values } = cache;
    if !keys.is_contiguous() || !values.is_contiguous() || keys.dtype() != values.dtype() || d > 256 {
        let reason = format!(
            "keys {:?} with strides {:?}, values {:?} with strides {:?}: expected contiguous ones of one dtype, heads of \
             at most 256",
            keys.dtype(),
            keys.stride(),
            values.dtype(),
            values.stride()
        );
        return Err(BackendError::Argument { op: "paged_attention", reason });
    }
    Ok(())
}

/// Rows of the spans that do not go in tiles, and how their positions are split.
struct FewRows {
    /// Up to the last of them.
    num_rows: usize,
    num_chunks: usize,
    chunk_len: usize,
}

impl FewRows {
    fn new(layout: &PagedLayout, min_tile_rows: usize, (num_heads, longest): (usize, usize)) -> Self {
        let few = layout.spans().iter().rfind(|span| span.rows.len() < min_tile_rows);
        let num_rows = few.map_or(0, |span| span.rows.end);
        let wanted = ENOUGH_GROUPS / (num_rows * num_heads).max(1);
        let num_chunks = longest.div_ceil(MIN_CHUNK_LEN).clamp(1, wanted.max(1));
        Self { num_rows, num_chunks, chunk_len: longest.div_ceil(num_chunks) }
    }
}

impl Operands {
    fn new(q: &Tensor, cache: CachedHeads<'_>, layout: &DeviceLayout) -> Result<Self, BackendError> {
        let operand = |tensor| Operand::new("paged_attention", tensor);
        let q_operand = operand(q)?;
        let output = Output::new(q_operand.device(), q.shape(), q.dtype())?;
        Ok(Self {
            q: q_operand,
            keys: operand(cache.keys)?,
            values: operand(cache.values)?,
            rows: operand(&layout.rows)?,
            spans: operand(&layout.spans)?,
            blocks: operand(&layout.blocks)?,
            output,
        })
    }

    fn attend_rows(
        &self,
        (attend, merge): (&Kernel, &Kernel),
        arguments: &AttentionArgs,
        few: &FewRows,
    ) -> Result<(), BackendError> {
        let device = self.q.device();
        let (h, d) = (arguments.num_heads as usize, arguments.head_dim as usize);
        let num_partials = if few.num_chunks > 1 { few.num_rows * h * few.num_chunks } else { 1 };
        let partials = Output::new(device, num_partials * (d + 2), DType::F32)?;
        Dispatch::new(device, attend)?
            .input(&self.q)
            .input(&self.keys)
            .input(&self.values)
            .input(&self.rows)
            .input(&self.spans)
            .input(&self.blocks)
            .output(&self.output)
            .output(&partials)
            .arguments(arguments)
            .threadgroup_bytes(4 * ROW_SIMDGROUPS * (d + 2))
            .run([h, few.num_rows, few.num_chunks], 32 * ROW_SIMDGROUPS);
        if few.num_chunks > 1 {
            let partials = Operand::new("paged_attention", &partials.into_tensor())?;
            Dispatch::new(device, merge)?
                .input(&partials)
                .input(&self.rows)
                .input(&self.spans)
                .output(&self.output)
                .arguments(arguments)
                .run([h, few.num_rows, 1], 32);
        }
        Ok(())
    }

    /// `simdgroups` of a threadgroup share `floats` of memory.
    fn attend_tiles(
        &self,
        kernel: &Kernel,
        arguments: &AttentionArgs,
        groups: [usize; 3],
        (simdgroups, floats): (usize, usize),
    ) -> Result<(), BackendError> {
        Dispatch::new(self.q.device(), kernel)?
            .input(&self.q)
            .input(&self.keys)
            .input(&self.values)
            .input(&self.spans)
            .input(&self.blocks)
            .output(&self.output)
            .arguments(arguments)
            .threadgroup_bytes(4 * floats)
            .run(groups, 32 * simdgroups);
        Ok(())
    }
}
