//! What the self-tests share: tensors of fixed values, and a comparison of the two devices.
//!
//! ```
//! let tensor = self_test::tensor(&[2, 3], candle_core::DType::F32, 1)?;
//! assert_eq!(self_test::difference(&tensor, &tensor)?, 0.0);
//! # Ok::<(), anyhow::Error>(())
//! ```

use candle_core::{DType, Device, Tensor};

/// Values between -1 and 1 that follow from the seed, on the CPU.
pub fn tensor(shape: &[usize], dtype: DType, seed: u32) -> anyhow::Result<Tensor> {
    let mut state = seed.wrapping_mul(747_796_405) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?)
}

/// The largest difference between two tensors; infinite where one is not a number.
pub fn difference(a: &Tensor, b: &Tensor) -> anyhow::Result<f32> {
    let flat = |tensor: &Tensor| -> anyhow::Result<Vec<f32>> {
        Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    };
    let (a, b) = (flat(a)?, flat(b)?);
    anyhow::ensure!(a.len() == b.len(), "{} values against {}", a.len(), b.len());
    let differences = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
    Ok(differences.fold(0.0, |most, next| if next.is_nan() { f32::INFINITY } else { most.max(next) }))
}
