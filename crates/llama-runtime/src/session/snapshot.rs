//! A context outside the cache.

use candle_core::{DType, Tensor};
use llama_kv::CacheConfig;

/// Tokens of a context, and the keys and values of as many of them as were cached.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) tokens: Vec<u32>,
    /// Per layer, keys and values.
    ///
    /// # Shapes
    /// `[s, g, d]`, s at most the number of tokens.
    pub(crate) layers: Vec<(Tensor, Tensor)>,
}

/// What a snapshot must look like to fit an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) num_layers: usize,
    pub(crate) num_kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) dtype: DType,
    pub(crate) vocab_size: usize,
    pub(crate) context_len: usize,
}

impl Shape {
    pub(crate) fn new(cache: &CacheConfig, vocab_size: usize, context_len: usize) -> Self {
        let CacheConfig { num_layers, num_kv_heads, head_dim, dtype, .. } = *cache;
        Self { num_layers, num_kv_heads, head_dim, dtype, vocab_size, context_len }
    }

    /// Checks a snapshot, and says what is wrong with it.
    pub(super) fn check(&self, snapshot: &Snapshot) -> Result<(), String> {
        let num_tokens = snapshot.tokens.len();
        if num_tokens == 0 || num_tokens > self.context_len {
            return Err(format!("{num_tokens} tokens, expected 1 to {}", self.context_len));
        }
        if let Some(token) = snapshot.tokens.iter().find(|&&token| token as usize >= self.vocab_size) {
            return Err(format!("token {token} is outside the vocabulary of {}", self.vocab_size));
        }
        let tensors = || snapshot.layers.iter().flat_map(|(keys, values)| [keys, values]);
        let cached = tensors().next().map_or(0, |keys| keys.dims().first().copied().unwrap_or(0));
        if cached > num_tokens {
            return Err(format!("keys of {cached} positions for {num_tokens} tokens"));
        }
        let expected = [cached, self.num_kv_heads, self.head_dim];
        match tensors().find(|tensor| tensor.dims() != expected || tensor.dtype() != self.dtype) {
            Some(tensor) => {
                let (shape, dtype) = (tensor.dims(), tensor.dtype());
                Err(format!("a layer of {shape:?} {dtype:?}, expected {expected:?} {:?}", self.dtype))
            }
            None => Ok(()),
        }
    }
}
