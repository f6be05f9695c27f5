//! Rotary position embedding at given positions (Su et al., arXiv:2104.09864, equation 34).

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "metal")]
mod metal;
mod reference;

use candle_core::{DType, Device, Tensor};

use super::{Kernels, Op, Path, count};
use crate::BackendError;

/// Which two components of a head one rotation mixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeLayout {
    /// Component `i` with `i + d/2`: checkpoints in Hugging Face form, and GGUF files of the Qwen families.
    Halves,
    /// Component `2i` with `2i + 1`: GGUF files of architecture `llama`, whose rows llama.cpp's converter permuted.
    Pairs,
}

/// Cosines and sines of one step's positions, shared by all layers.
#[derive(Clone, Debug)]
pub struct Rotations {
    cos: Tensor,
    sin: Tensor,
}

impl Rotations {
    /// Rotates by `position * inverse_frequencies[i]`: the product in f32 as the reference implementations do, its
    /// cosine and sine correctly rounded.
    ///
    /// # Shapes
    /// `positions`: `[t]`; `inverse_frequencies`: `[d/2]`.
    ///
    /// # Errors
    /// Candle's, if the device has no memory.
    pub fn new(
        positions: &[u32],
        inverse_frequencies: &[f32],
        (device, dtype): (&Device, DType),
    ) -> Result<Self, BackendError> {
        #[cfg(feature = "cuda")]
        if let Device::Cuda(device) = device {
            let (cos, sin) = cuda::rotations(positions, inverse_frequencies, (device, dtype))?;
            return Ok(Self { cos, sin }); // [t, d/2]
        }
        let shape = (positions.len(), inverse_frequencies.len());
        let angles = positions.iter().flat_map(|&position| {
            inverse_frequencies.iter().map(move |frequency| f64::from(position as f32 * frequency))
        });
        let (cos, sin): (Vec<f32>, Vec<f32>) =
            angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip();
        let tensor =
            |values| Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device);
        Ok(Self { cos: tensor(cos)?, sin: tensor(sin)? }) // [t, d/2]
    }
}

/// Rotates each head of each row by that row's angles.
///
/// # Shapes
/// `x`: `[t, h, d]`, last dimension contiguous; result: the same shape, contiguous.
///
/// # Errors
/// Candle's, for shapes that do not fit.
pub fn rope(
    x: &Tensor,
    rotations: &Rotations,
    layout: RopeLayout,
    kernels: Kernels,
) -> Result<Tensor, BackendError> {
    let (t, _h, d) = x.dims3()?;
    let (num_positions, half) = rotations.cos.dims2()?;
    if num_positions != t || 2 * half != d {
        return Err(BackendError::Argument {
            op: "rope",
            reason: format!("input {:?}, angles for {num_positions} rows of {half} pairs", x.dims()),
        });
    }
    match count::choose(Op::Rope, x.device(), kernels) {
        Path::Cpu => {
            let op = cpu::RopeCpu { layout };
            Ok(x.apply_op3_no_bwd(&rotations.cos, &rotations.sin, &op)?)
        }
        #[cfg(feature = "metal")]
        Path::Metal => metal::rope(x, rotations, layout),
        #[cfg(feature = "cuda")]
        Path::Cuda => cuda::rope(x, rotations, layout),
        _ => reference::rope(x, rotations, layout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::linear::tests::values;

    fn check(x: &Tensor, layout: RopeLayout) {
        let (t, _, d) = x.dims3().unwrap();
        let positions: Vec<u32> = (0..t as u32).map(|i| i * i * 37).collect();
        let frequencies: Vec<f32> = (0..d / 2).map(|i| 0.3f32.powi(i as i32)).collect();
        let rotations = Rotations::new(&positions, &frequencies, (&Device::Cpu, DType::F32)).unwrap();
        let run = |kernels| -> Vec<f32> {
            let y = rope(x, &rotations, layout, kernels).unwrap();
            y.flatten_all().unwrap().to_vec1().unwrap()
        };
        for (fast, slow) in run(Kernels::Native).iter().zip(run(Kernels::Reference)) {
            assert!((fast - slow).abs() <= 1e-6, "{layout:?}: {fast} {slow}");
        }
    }

    #[test]
    fn cpu_is_close_to_the_reference() {
        for (t, h, d) in [(1, 1, 2), (5, 3, 64), (20, 9, 80)] {
            let x = Tensor::from_vec(values(t * h * d, 3), (t, h, d), &Device::Cpu).unwrap();
            check(&x, RopeLayout::Halves);
            check(&x, RopeLayout::Pairs);
            if h > 1 {
                check(&x.narrow(1, 1, h - 1).unwrap(), RopeLayout::Halves);
            }
        }
    }

    #[test]
    fn position_zero_changes_nothing() {
        let x = Tensor::from_vec(values(8, 3), (1, 1, 8), &Device::Cpu).unwrap();
        let rotations = Rotations::new(&[0], &[1.0; 4], (&Device::Cpu, DType::F32)).unwrap();
        let y = rope(&x, &rotations, RopeLayout::Pairs, Kernels::Native).unwrap();
        assert_eq!(y.to_vec3::<f32>().unwrap(), x.to_vec3::<f32>().unwrap());
    }
}
