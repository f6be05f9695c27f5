//! The parameters of the standard processors.

/// Plain parameters; [`crate::Sampler::new`] checks them.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerConfig {
    /// See [`crate::Temperature`]; 0 is greedy.
    pub temperature: f32,
    /// See [`crate::TopK`].
    pub top_k: Option<usize>,
    /// See [`crate::TopP`].
    pub top_p: Option<f32>,
    /// See [`crate::MinP`].
    pub min_p: Option<f32>,
    /// Names the random stream.
    pub seed: u64,
}

impl Default for SamplerConfig {
    /// Greedy.
    fn default() -> Self {
        Self { temperature: 0.0, top_k: None, top_p: None, min_p: None, seed: 0 }
    }
}
