//! The CUDA path: few rows by a kernel that reads each weight once, many by cuBLAS.

use candle_core::{CudaDevice, Tensor};

use super::{Linear, LinearPart};
use crate::{
    BackendError,
    cuda::{Argument, Gemm, Grid, Kernel, Place, device_of, place, uninitialized},
};

const OP: &str = "linear";
const FEW: Kernel = Kernel { entry: "few", source: include_str!("few.cu"), constants: &["WIDTH", "TOKENS"] };
const FEW_GATED: Kernel =
    Kernel { entry: "few_gated", source: include_str!("few.cu"), constants: &["WIDTH", "TOKENS"] };
const BIAS: Kernel = Kernel { entry: "bias", source: include_str!("bias.cu"), constants: &[] };
/// More rows are cuBLAS's.
const MAX_FEW: usize = 4;
/// Weights that one launch of `few` joins.
const MAX_PARTS: usize = 3;
/// Threads of a block of `few`, and the lines of a weight that it reads.
const FEW_THREADS: usize = 128;
const FEW_LINES: usize = 4;
/// Threads of a block of `bias`.
const BIAS_THREADS: usize = 256;

/// # Shapes
/// `x`: `[t, k]`; result: `[t, n]`.
pub(in crate::ops) fn linear(x: &Tensor, layer: &Linear) -> Result<Tensor, BackendError> {
    let (device, (t, k)) = (device_of(x)?, x.dims2()?);
    let x = x.contiguous()?;
    let y = uninitialized(&device, (t, layer.out_features()), x.dtype())?;
    match is_few(&x, t, k)? && layer.parts.len() <= MAX_PARTS {
        true => few(&device, (&x, &y), layer)?,
        false => many(&device, (&x, &y), layer)?,
    }
    Ok(y)
}

/// # Shapes
/// `x`: `[t, k]`; `gate`, `up`: `[f, k]`; result: `[t, f]`, or `None` for rows that are not few.
pub(in crate::ops) fn few_gated(
    x: &Tensor,
    gate: &LinearPart,
    up: &LinearPart,
) -> Result<Option<Tensor>, BackendError> {
    let (device, (t, k)) = (device_of(x)?, x.dims2()?);
    let x = x.contiguous()?;
    if !is_few(&x, t, k)? {
        return Ok(None);
    }
    let f = gate.weight.rows();
    let y = uninitialized(&device, (t, f), x.dtype())?;
    let (gate, up) = (Resident::new(gate)?, Resident::new(up)?);
    let kernel = FEW_GATED.load(&device, x.dtype(), &[k, t.next_power_of_two()])?;
    let arguments = [
        Argument::Address(place(OP, &y)?.address),
        Argument::Address(place(OP, &x)?.address),
        Argument::count(OP, t)?,
        Argument::Address(gate.weight.address),
        Argument::Address(gate.bias),
        Argument::Address(up.weight.address),
        Argument::Address(up.bias),
        Argument::count(OP, f)?,
    ];
    let grid = Grid::new((f.div_ceil(FEW_LINES / 2), 1, 1), FEW_THREADS);
    // SAFETY: `gated_linear` checked that both weights are `[f, k]`; blocks stay inside their lines and write the `[t, f]` of
    // `y`.
    unsafe { kernel.launch(&device, grid, &arguments) }?;
    Ok(Some(y))
}

/// Whether rows are few, and can be read 16 bytes at a time.
fn is_few(x: &Tensor, t: usize, k: usize) -> Result<bool, BackendError> {
    let pack = 16 / x.dtype().size_in_bytes();
    Ok((1..=MAX_FEW).contains(&t) && k.is_multiple_of(pack) && place(OP, x)?.address.is_multiple_of(16))
}

fn few(device: &CudaDevice, (x, y): (&Tensor, &Tensor), layer: &Linear) -> Result<(), BackendError> {
    let (t, k) = x.dims2()?;
    let kernel = FEW.load(device, x.dtype(), &[k, t.next_power_of_two()])?;
    let mut arguments = vec![
        Argument::Address(place(OP, y)?.address),
        Argument::Address(place(OP, x)?.address),
        Argument::count(OP, t)?,
    ];
    let mut num_blocks = 0;
    for part in &layer.parts {
        let resident = Resident::new(part)?;
        let n = part.weight.rows();
        arguments.extend([Argument::Address(resident.weight.address), Argument::Address(resident.bias)]);
        arguments.push(Argument::count(OP, n)?);
        num_blocks += n.div_ceil(FEW_LINES);
    }
    for _ in layer.parts.len()..MAX_PARTS {
        arguments.extend([Argument::Address(0), Argument::Address(0), Argument::Count(0)]);
    }
    // SAFETY: each weight is `[n, k]` and each bias `[n]`, which `Linear::new` checked; blocks stay inside the lines of
    // their weight and write its columns of `y`.
    unsafe { kernel.launch(device, Grid::new((num_blocks, 1, 1), FEW_THREADS), &arguments) }
}

fn many(device: &CudaDevice, (x, y): (&Tensor, &Tensor), layer: &Linear) -> Result<(), BackendError> {
    let ((t, k), row_len) = (x.dims2()?, layer.out_features());
    let (x, mut y) = (place(OP, x)?, place(OP, y)?);
    for part in &layer.parts {
        let (resident, n) = (Resident::new(part)?, part.weight.rows());
        if resident.bias != 0 {
            write_bias(device, (y, resident.bias), (t, n, row_len))?;
        }
        let kept = if resident.bias == 0 { 0.0 } else { 1.0 };
        let gemm = Gemm { y, x, weight: resident.weight, row_len, kept, size: (t, n, k) };
        if t > 0 {
            // SAFETY: the weight is `[n, k]`, and `y` has room for `n` columns from here on.
            unsafe { gemm.submit(device) }?;
        }
        y.address += (n * y.dtype.size_in_bytes()) as u64;
    }
    Ok(())
}

fn write_bias(
    device: &CudaDevice,
    (y, bias): (Place, u64),
    (t, n, row_len): (usize, usize, usize),
) -> Result<(), BackendError> {
    let kernel = BIAS.load(device, y.dtype, &[])?;
    let arguments = [
        Argument::Address(y.address),
        Argument::Address(bias),
        Argument::count(OP, n)?,
        Argument::count(OP, row_len)?,
    ];
    let grid = Grid::new((t, n.div_ceil(BIAS_THREADS), 1), BIAS_THREADS);
    // SAFETY: the bias is `[n]`, and `y` has `n` columns from its address on in each of `t` rows.
    unsafe { kernel.launch(device, grid, &arguments) }
}

/// A part of a layer in device memory, which its weights keep alive.
struct Resident {
    weight: Place,
    /// 0 if there is none.
    bias: u64,
}

impl Resident {
    fn new(part: &LinearPart) -> Result<Self, BackendError> {
        let bias = match &part.bias {
            Some(bias) => place(OP, &bias.tensor()?)?.address,
            None => 0,
        };
        Ok(Self { weight: place(OP, &part.weight.tensor()?)?, bias })
    }
}
