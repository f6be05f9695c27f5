//! The attention part of the configuration.

/// Heads, windows, biases, norms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttentionConfig {
    /// Query heads, h.
    pub num_attention_heads: usize,
    /// Key-value heads, g: a divisor of h.
    pub num_key_value_heads: usize,
    /// Size of a head, d: even.
    pub head_dim: usize,
    /// Sliding window, if any layer has one.
    pub sliding_window: Option<SlidingWindow>,
    /// Which projections have biases.
    pub bias: AttentionBias,
    /// Whether queries and keys are normed before they are rotated.
    pub qk_norm: QkNorm,
}

/// Biases of the attention projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionBias {
    /// None.
    Absent,
    /// On q_proj, k_proj and v_proj.
    Qkv,
    /// On q_proj, k_proj, v_proj and o_proj.
    QkvOutput,
}

/// Norms of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// None.
    Absent,
    /// RMS norm over each head, with weights `self_attn.q_norm` and `self_attn.k_norm` of `[d]`.
    PerHead,
}

/// A window over the last tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlidingWindow {
    /// Tokens that one attends to, itself included: position `i` sees `j` if `i - size < j <= i`.
    pub size: usize,
    /// Which layers have it.
    pub layers: WindowedLayers,
}

/// Which layers have a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowedLayers {
    /// All.
    All,
    /// This one and those above it.
    From(usize),
    /// Those that are `true`, from the first layer on.
    Listed(Vec<bool>),
}

impl SlidingWindow {
    /// The window of one layer.
    pub(super) fn at(&self, layer_idx: usize) -> Option<usize> {
        let windowed = match &self.layers {
            WindowedLayers::All => true,
            WindowedLayers::From(first) => layer_idx >= *first,
            WindowedLayers::Listed(layers) => layers.get(layer_idx).copied().unwrap_or(false),
        };
        windowed.then_some(self.size)
    }
}
