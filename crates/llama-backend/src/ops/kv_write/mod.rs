//! Writes new keys or values into their slots of the cache, in place.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "metal")]
mod metal;
mod reference;
mod slots;

use candle_core::Tensor;
pub use slots::Slots;

use super::{Kernels, Op, Path, count};
use crate::BackendError;

/// Copies row `i` of `rows` to slot `slots[i]` of `cache`.
///
/// # Shapes
/// `cache`: `[n * p, g, d]`, contiguous; `rows`: `[t, g, d]`; `slots`: `[t]`, each below `n * p`, no two equal.
///
/// # Errors
/// [`BackendError::Argument`] if counts or slots do not fit; Candle's otherwise.
pub fn kv_write(cache: &Tensor, rows: &Tensor, slots: &Slots, kernels: Kernels) -> Result<(), BackendError> {
    let (num_slots, g, d) = cache.dims3()?;
    let num_rows = slots.as_slice().len();
    let fits = rows.dims3()? == (num_rows, g, d);
    if !fits || slots.as_slice().iter().any(|&slot| slot as usize >= num_slots) {
        return Err(BackendError::Argument {
            op: "kv_write",
            reason: format!("rows {:?}, {} slots, cache {:?}", rows.dims(), num_rows, cache.dims()),
        });
    }
    match count::choose(Op::KvWrite, cache.device(), kernels) {
        Path::Cpu => Ok(cache.inplace_op2(rows, &cpu::KvWriteCpu { slots: slots.as_slice() })?),
        #[cfg(feature = "metal")]
        Path::Metal => metal::kv_write(cache, rows, slots),
        #[cfg(feature = "cuda")]
        Path::Cuda => cuda::kv_write(cache, rows, slots),
        _ => reference::kv_write(cache, rows, slots),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::ops::linear::tests::values;

    #[test]
    fn both_paths_write_the_same() {
        let all = Tensor::from_vec(values(60, 5), (3, 5, 4), &Device::Cpu).unwrap();
        let rows = all.narrow(1, 1, 2).unwrap(); // [3, 2, 4], strided
        let run = |kernels| {
            let cache = Tensor::zeros((8, 2, 4), DType::F32, &Device::Cpu).unwrap();
            kv_write(&cache, &rows, &Slots::new(vec![7, 0, 3]), kernels).unwrap();
            cache.to_vec3::<f32>().unwrap()
        };
        let written = run(Kernels::Native);
        assert_eq!(written, run(Kernels::Reference));
        assert_eq!(written[7], rows.to_vec3::<f32>().unwrap()[0]);
        assert_eq!(written[1], [[0.0; 4]; 2]);
    }

    #[test]
    fn a_slot_outside_the_cache_is_refused() {
        let cache = Tensor::zeros((8, 2, 4), DType::F32, &Device::Cpu).unwrap();
        let rows = Tensor::zeros((1, 2, 4), DType::F32, &Device::Cpu).unwrap();
        assert!(kv_write(&cache, &rows, &Slots::new(vec![8]), Kernels::Native).is_err());
    }
}
