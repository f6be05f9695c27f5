//! The Metal path: few rows through kernels that read each weight once, many as tiles of simdgroup matrices.
//!
//! Activations are exact whatever [`super::Activations`] says: rounding them is the CPU's way to be fast.

use std::array;

use candle_core::Tensor;

use super::{Linear, LinearPart};
use crate::{
    BackendError,
    metal::{
        Dispatch, GatedLinearArgs, Kernel, LinearArgs, NO_WEIGHT, Operand, Output, Source, StoredBytes,
        suffix,
    },
};

/// From so many rows on, tiles: 32 rows of them are computed at once, however many there are.
const MIN_TILE_ROWS: usize = 9;
/// Parts of one dispatch.
const MAX_PARTS: usize = 3;
/// Outputs of a threadgroup of the kernels for few rows.
const FEW_OUTPUTS: usize = 8;
/// Rows and outputs of a tile.
const TILE: (usize, usize) = (32, 64);
/// Memory of a tile: both factors over a depth of 32, later the sums, in f32.
const TILE_BYTES: usize = 4 * (TILE.0 + TILE.1) * 32;

/// # Shapes
/// `x`: `[t, k]`; result: `[t, n]`.
pub(in crate::ops) fn linear(x: &Tensor, layer: &Linear) -> Result<Tensor, BackendError> {
    let (t, _k) = x.dims2()?;
    let input = Operand::new("linear", x)?;
    let output = Output::new(input.device(), (t, layer.out_features()), x.dtype())?;
    let mut first_column = 0;
    for parts in layer.parts().chunks(MAX_PARTS) {
        linear_parts(x, (&input, &output), (parts, first_column), layer.out_features())?;
        first_column += parts.iter().map(|part| part.weight.rows()).sum::<usize>();
    }
    Ok(output.into_tensor())
}

/// Fills the columns of up to [`MAX_PARTS`] parts.
fn linear_parts(
    x: &Tensor,
    (input, output): (&Operand, &Output),
    (parts, first_column): (&[LinearPart], usize),
    out_stride: usize,
) -> Result<(), BackendError> {
    let (t, k) = x.dims2()?;
    let weights = parts.iter().map(|part| part.weight.stored()).collect::<Result<Vec<_>, _>>()?;
    let biases = parts.iter().map(|part| part.bias.as_ref().map(|bias| bias.stored()).transpose());
    let biases = biases.collect::<Result<Vec<_>, _>>()?;
    let weight = |i: usize| weights.get(i).copied();
    let bias = |i: usize| biases.get(i).copied().flatten();
    let format = |stored: Option<&StoredBytes>| stored.map_or(NO_WEIGHT, StoredBytes::format);
    let few = few_rows(t);
    let kind = few.map_or("tile".to_owned(), |rows| format!("few_{rows}"));
    let kernel = Kernel {
        source: Source::Linear,
        function: format!("linear_{kind}_{}", suffix("linear", x.dtype())?),
        constants: (0..MAX_PARTS).map(weight).chain((0..MAX_PARTS).map(bias)).map(format).collect(),
    };
    let arguments = LinearArgs {
        weight_offset: array::from_fn(|i| weight(i).map_or(0, StoredBytes::offset)),
        row_bytes: array::from_fn(|i| weight(i).map_or(0, StoredBytes::row_bytes)),
        bias_offset: array::from_fn(|i| bias(i).map_or(0, StoredBytes::offset)),
        out_features: array::from_fn(|i| parts.get(i).map_or(0, |part| part.weight.rows()) as u32),
        num_rows: t as u32,
        in_features: k as u32,
        x_stride: input.stride(0),
        out_stride: out_stride as u32,
        first_column: first_column as u32,
    };
    let mut dispatch = Dispatch::new(input.device(), &kernel)?.input(input);
    // In the place of what is not there, anything: the kernel does not look.
    for stored in (0..MAX_PARTS).map(weight).chain((0..MAX_PARTS).map(bias)) {
        dispatch = dispatch.stored(stored.unwrap_or(weights[0]));
    }
    let dispatch = dispatch.output(output).arguments(&arguments);
    let groups = |outputs: usize| parts.iter().map(|part| part.weight.rows().div_ceil(outputs)).sum();
    match few {
        Some(rows) => dispatch.run([groups(FEW_OUTPUTS), t.div_ceil(rows), 1], 64),
        None => {
            let groups = [groups(TILE.1), t.div_ceil(TILE.0), 1];
            dispatch.threadgroup_bytes(TILE_BYTES).run(groups, 128);
        }
    }
    Ok(())
}

/// `silu(x gateᵀ) * (x upᵀ)` of few rows in one dispatch; `None` if they are many.
///
/// # Shapes
/// `x`: `[t, k]`; `gate`, `up`: `[f, k]`; result: `[t, f]`.
pub(in crate::ops) fn gated_few(
    x: &Tensor,
    gate: &LinearPart,
    up: &LinearPart,
) -> Result<Option<Tensor>, BackendError> {
    let (t, k) = x.dims2()?;
    let Some(rows) = few_rows(t).filter(|_| gate.bias.is_none() && up.bias.is_none()) else {
        return Ok(None);
    };
    let f = gate.weight.rows();
    let input = Operand::new("gated_linear", x)?;
    let output = Output::new(input.device(), (t, f), x.dtype())?;
    let (gate, up) = (gate.weight.stored()?, up.weight.stored()?);
    let kernel = Kernel {
        source: Source::Linear,
        function: format!("gated_few_{rows}_{}", suffix("gated_linear", x.dtype())?),
        constants: vec![gate.format(), up.format()],
    };
    let arguments = GatedLinearArgs {
        gate_offset: gate.offset(),
        gate_row_bytes: gate.row_bytes(),
        up_offset: up.offset(),
        up_row_bytes: up.row_bytes(),
        num_rows: t as u32,
        in_features: k as u32,
        out_features: f as u32,
        x_stride: input.stride(0),
    };
    Dispatch::new(input.device(), &kernel)?
        .input(&input)
        .stored(gate)
        .stored(up)
        .output(&output)
        .arguments(&arguments)
        .run([f.div_ceil(FEW_OUTPUTS), t.div_ceil(rows), 1], 64);
    Ok(Some(output.into_tensor()))
}

/// Rows that a threadgroup takes at once, if tiles are not worth it.
fn few_rows(t: usize) -> Option<usize> {
    match t {
        0..=1 => Some(1),
        2..MIN_TILE_ROWS => Some(4),
        _ => None,
    }
}
