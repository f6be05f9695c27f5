//! The Metal path: rows are decoded where the table lies, one thread per eight values.

use candle_core::Tensor;

use crate::{
    BackendError,
    metal::{Dispatch, EmbedArgs, Kernel, Operand, Output, Source, suffix},
    weight::Weight,
};

/// # Shapes
/// `table`: `[v, e]`; result: `[t, e]`.
pub(super) fn embed(tokens: &[u32], table: &Weight) -> Result<Tensor, BackendError> {
    let (t, e) = (tokens.len(), table.cols());
    let stored = table.stored()?;
    let tokens = Operand::new("embed", &Tensor::new(tokens, table.device())?)?;
    let kernel = Kernel {
        source: Source::Embed,
        function: format!("embed_{}", suffix("embed", table.compute_dtype())?),
        constants: vec![stored.format()],
    };
    let arguments = EmbedArgs {
        table_offset: stored.offset(),
        row_bytes: stored.row_bytes(),
        num_rows: t as u32,
        width: e as u32,
    };
    let output = Output::new(tokens.device(), (t, e), table.compute_dtype())?;
    Dispatch::new(tokens.device(), &kernel)?
        .input(&tokens)
        .stored(stored)
        .output(&output)
        .arguments(&arguments)
        .run([e.div_ceil(8 * 32), t, 1], 32);
    Ok(output.into_tensor())
}
