//! Rotary position embedding: parameters, and the frequencies that follow from them.

use std::f32::consts::TAU;

use llama_backend::ops::rope::RopeLayout;

/// Parameters of the rotary position embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    /// Base of the frequencies.
    pub rope_theta: f32,
    /// How the frequencies are stretched for contexts beyond the pretraining's.
    pub scaling: RopeScaling,
    /// Which components of a head are rotated together.
    pub layout: RopeLayout,
}

/// How frequencies are stretched.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    Unscaled,
    /// All by the same factor.
    Linear {
        /// The divisor.
        factor: f32,
    },
    /// Llama 3.1's: low frequencies in full, high ones not, smoothly between.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f32,
        /// Wavelengths above the original context over this are low frequencies.
        low_freq_factor: f32,
        /// Wavelengths below the original context over this are high frequencies.
        high_freq_factor: f32,
        /// Context length of the pretraining, in tokens.
        original_max_position_embeddings: usize,
    },
}

impl RopeConfig {
    /// Angle per position of each rotation: entry `i` turns the `i`-th pair of components.
    ///
    /// Su et al., RoFormer, 2021, section 3.2.2 (theta_i); scaling as `modeling_rope_utils.py` of transformers 5
    /// computes it, operation for operation in f32, so that its goldens are met.
    ///
    /// # Shapes
    /// `[d / 2]`
    pub fn inverse_frequencies(&self, head_dim: usize) -> Vec<f32> {
        (0..head_dim / 2)
            .map(|pair_idx| {
                let exponent = (2 * pair_idx) as f32 / head_dim as f32;
                self.scaling.apply(1.0 / self.rope_theta.powf(exponent))
            })
            .collect()
    }
}

impl RopeScaling {
    fn apply(&self, frequency: f32) -> f32 {
        match *self {
            Self::Unscaled => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                let context = original_max_position_embeddings as f32;
                let wavelength = TAU * (1.0 / frequency); // torch divides scalar by tensor in this way
                if wavelength > context / low_freq_factor {
                    frequency / factor
                } else if wavelength < context / high_freq_factor {
                    frequency
                } else {
                    let smooth = ((1.0 / wavelength) * context - low_freq_factor)
                        / (high_freq_factor - low_freq_factor);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with values that numpy 2.4 gave for transformers' formulas in f32.
    fn check(rope_theta: f32, scaling: RopeScaling, head_dim: usize, expected: &[f64]) {
        let rope = RopeConfig { rope_theta, scaling, layout: RopeLayout::Halves };
        let found = rope.inverse_frequencies(head_dim);
        assert_eq!(found.len(), expected.len());
        for (pair_idx, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(*found) - expected).abs() / expected;
            assert!(error <= 1e-6, "pair {pair_idx}: {found} instead of {expected}");
        }
    }

    #[test]
    fn unscaled_frequencies_are_powers_of_theta() {
        let expected = [
            1.0,
            3.162277639e-01,
            1.000000015e-01,
            3.162277862e-02,
            9.999999776e-03,
            3.162277862e-03,
            1.000000047e-03,
            3.162277862e-04,
        ];
        check(10_000.0, RopeScaling::Unscaled, 16, &expected);
    }

    #[test]
    fn linear_scaling_divides() {
        let expected = [
            2.500000000e-01,
            4.445698485e-02,
            7.905694656e-03,
            1.405853312e-03,
            2.500000119e-04,
            4.445698505e-05,
            7.905693565e-06,
            1.405853368e-06,
        ];
        check(1e6, RopeScaling::Linear { factor: 4.0 }, 16, &expected);
    }

    #[test]
    fn llama3_scaling_is_that_of_llama_3_2() {
        let scaling = RopeScaling::Llama3 {
            factor: 32.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        };
        let expected = [
            1.0,
            6.636012197e-01,
            4.403666258e-01,
            2.922278047e-01,
            1.939227581e-01,
            1.286873817e-01,
            8.539710194e-02,
            5.666961893e-02,
            3.760603070e-02,
            2.495540865e-02,
            1.656044088e-02,
            1.098952908e-02,
            7.292665076e-03,
            4.839421250e-03,
            3.211446106e-03,
            1.290548011e-03,
            4.295567051e-04,
            9.708286234e-05,
            1.946163866e-05,
            1.291476838e-05,
            8.570255886e-06,
            5.687231805e-06,
            3.774054449e-06,
            2.504466920e-06,
            1.661967644e-06,
            1.102883630e-06,
            7.318749340e-07,
            4.856731266e-07,
            3.222932889e-07,
            2.138742303e-07,
            1.419272024e-07,
            9.418307201e-08,
        ];
        check(500_000.0, scaling, 64, &expected);
    }
}
