//! Rows of the embedding table.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "metal")]
mod metal;
mod reference;

use candle_core::Tensor;

use super::{Kernels, Op, Path, count};
use crate::{BackendError, weight::Weight};

/// Looks up `tokens` in `table`.
///
/// # Shapes
/// `table`: `[v, e]`; result: `[t, e]` in the compute dtype, one row per token.
///
/// # Errors
/// [`BackendError::Argument`] for a token outside the vocabulary.
pub fn embed(tokens: &[u32], table: &Weight, kernels: Kernels) -> Result<Tensor, BackendError> {
    let vocab_size = table.rows();
    if let Some(token) = tokens.iter().find(|&&token| token as usize >= vocab_size) {
        return Err(BackendError::Argument {
            op: "embed",
            reason: format!("token {token} is outside the vocabulary of {vocab_size}"),
        });
    }
    match count::choose(Op::Embed, table.device(), kernels) {
        Path::Cpu => cpu::embed(tokens, table),
        #[cfg(feature = "metal")]
        Path::Metal => metal::embed(tokens, table),
        #[cfg(feature = "cuda")]
        Path::Cuda => cuda::embed(tokens, table),
        _ => reference::embed(tokens, table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ops::linear::tests::weight, weight::WeightDtype};

    #[test]
    fn cpu_equals_reference() {
        for dtype in WeightDtype::ALL {
            let table = weight(dtype, 9, 256);
            let values = |kernels| {
                let rows = embed(&[8, 0, 3, 3], &table, kernels).unwrap();
                rows.to_vec2::<f32>().unwrap()
            };
            assert_eq!(values(Kernels::Native), values(Kernels::Reference), "{dtype}");
        }
    }

    #[test]
    fn a_token_outside_the_vocabulary_is_refused() {
        let error = embed(&[9], &weight(WeightDtype::F32, 9, 4), Kernels::Native).unwrap_err();
        assert_eq!(error.to_string(), "embed: token 9 is outside the vocabulary of 9");
    }
}
