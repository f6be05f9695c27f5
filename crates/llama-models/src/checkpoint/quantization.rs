//! Which format each tensor of a quantised model gets.
//!
//! Invariant: the choice depends on name, shape and number of layers alone, and always is a format that fits. The
//! mixes are the defaults of llama.cpp's `llama-quantize` (`llama_tensor_get_type` in `llama-quant.cpp`), so that a
//! model quantised here has the size and the sensitive parts of one quantised there. Encoding is llama-backend's.

use std::{fmt, str::FromStr};

use llama_backend::weight::WeightDtype;

use super::names::{gguf_name, layer_idx};
use crate::config::DecoderConfig;

/// How a model is quantised. Norms, biases and other vectors stay as they are.
///
/// A row that is no whole number of blocks gets the next format that fits, as in llama.cpp: Q5_0 for Q4_K, Q8_0 for
/// Q6_K, and f16 where a row is no multiple of 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantization {
    /// Every matrix in Q8_0: 8.5 bits a weight.
    Q8_0,
    /// Matrices in Q4_0, the head in Q6_K: about 4.6 bits a weight.
    Q4_0,
    /// llama.cpp's `Q4_K_M`: matrices in Q4_K; the head, and in half of the layers the value and down projections, in
    /// Q6_K: about 4.9 bits a weight.
    Q4K,
}

/// The embedding's and the head's name in GGUF.
const EMBEDDING: &str = "token_embd.weight";
const HEAD: &str = "output.weight";

impl Quantization {
    /// Every one, the largest first.
    pub const ALL: [Self; 3] = [Self::Q8_0, Self::Q4_0, Self::Q4K];

    /// GGUF's number of such files (`llama_ftype`).
    pub(super) fn file_type(self) -> u32 {
        match self {
            Self::Q8_0 => 7,
            Self::Q4_0 => 2,
            Self::Q4K => 15,
        }
    }

    /// The format of a matrix with rows of `cols`, named as in either kind of file.
    pub(crate) fn dtype_of(self, name: &str, cols: usize, model: &DecoderConfig) -> WeightDtype {
        let name = gguf_name(name);
        let head = if model.tie_word_embeddings { EMBEDDING } else { HEAD };
        let is_sensitive = || {
            let layer = layer_idx(&name).filter(|_| name.contains("attn_v.") || name.contains("ffn_down."));
            layer.is_some_and(|layer_idx| gets_more_bits(layer_idx, model.num_hidden_layers))
        };
        let wanted = match self {
            Self::Q8_0 => WeightDtype::Q8_0,
            Self::Q4_0 | Self::Q4K if name == head => WeightDtype::Q6K,
            Self::Q4_0 => WeightDtype::Q4_0,
            Self::Q4K if is_sensitive() => WeightDtype::Q6K,
            Self::Q4K => WeightDtype::Q4K,
        };
        fitting(wanted, cols)
    }

    /// The format of an encoder's matrix with rows of `cols`: the same for all.
    pub(crate) fn uniform_dtype(self, cols: usize) -> WeightDtype {
        let wanted = match self {
            Self::Q8_0 => WeightDtype::Q8_0,
            Self::Q4_0 => WeightDtype::Q4_0,
            Self::Q4K => WeightDtype::Q4K,
        };
        fitting(wanted, cols)
    }
}

/// The first and last eighth of the layers, and every third between (`use_more_bits` of llama.cpp).
fn gets_more_bits(layer_idx: usize, num_layers: usize) -> bool {
    let eighth = num_layers / 8;
    layer_idx < eighth || layer_idx >= 7 * num_layers / 8 || (layer_idx - eighth) % 3 == 2
}

/// The format itself, or what replaces it where rows of `cols` are no whole number of its blocks.
fn fitting(wanted: WeightDtype, cols: usize) -> WeightDtype {
    let instead = match wanted {
        WeightDtype::Q4K => WeightDtype::Q5_0,
        WeightDtype::Q6K => WeightDtype::Q8_0,
        other => other,
    };
    let fits = |dtype: &WeightDtype| dtype.row_bytes(cols).is_some();
    [wanted, instead].into_iter().find(fits).unwrap_or(WeightDtype::F16)
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
            Self::Q4K => "q4_k",
        })
    }
}

/// A text that names no [`Quantization`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no quantisation; there are q8_0, q4_0, q4_k")]
pub struct UnknownQuantization {
    /// The text.
    pub found: String,
}

impl FromStr for Quantization {
    type Err = UnknownQuantization;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|each| each.to_string().eq_ignore_ascii_case(text));
        found.ok_or_else(|| UnknownQuantization { found: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model with that many layers; nothing else of it matters here.
    fn model(num_hidden_layers: usize, tie_word_embeddings: bool) -> DecoderConfig {
        let bard = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard");
        let bard = crate::Checkpoint::open(bard.as_ref()).unwrap().config().clone();
        DecoderConfig { num_hidden_layers, tie_word_embeddings, ..bard }
    }

    fn check(quantization: Quantization, name: &str, cols: usize, expected: WeightDtype) {
        let found = quantization.dtype_of(name, cols, &model(24, false));
        assert_eq!(found, expected, "{quantization} {name} {cols}");
    }

    #[test]
    fn mixes_are_those_of_llama_cpp() {
        use Quantization::{Q4_0, Q4K, Q8_0};
        for name in ["blk.9.attn_q.weight", "token_embd.weight", "model.layers.9.mlp.up_proj.weight"] {
            check(Q8_0, name, 256, WeightDtype::Q8_0);
            check(Q4_0, name, 256, WeightDtype::Q4_0);
            check(Q4K, name, 256, WeightDtype::Q4K);
        }
        for name in ["output.weight", "lm_head.weight"] {
            check(Q8_0, name, 256, WeightDtype::Q8_0);
            check(Q4_0, name, 256, WeightDtype::Q6K);
            check(Q4K, name, 256, WeightDtype::Q6K);
        }
        check(Q4_0, "blk.0.attn_v.weight", 256, WeightDtype::Q4_0);
        check(Q4K, "blk.0.attn_v.weight", 256, WeightDtype::Q6K);
        check(Q4K, "model.layers.23.mlp.down_proj.weight", 256, WeightDtype::Q6K);
        check(Q4K, "blk.3.ffn_down.weight", 256, WeightDtype::Q4K);
        check(Q4K, "blk.5.ffn_down.weight", 256, WeightDtype::Q6K);
    }

    #[test]
    fn the_embedding_is_the_head_of_a_tied_model() {
        let dtype = |tied| Quantization::Q4K.dtype_of("model.embed_tokens.weight", 512, &model(6, tied));
        assert_eq!((dtype(false), dtype(true)), (WeightDtype::Q4K, WeightDtype::Q6K));
    }

    #[test]
    fn rows_that_do_not_fill_blocks_get_what_fits() {
        check(Quantization::Q4K, "blk.3.attn_q.weight", 896, WeightDtype::Q5_0);
        check(Quantization::Q4K, "output.weight", 576, WeightDtype::Q8_0);
        check(Quantization::Q4_0, "output.weight", 576, WeightDtype::Q8_0);
        for quantization in Quantization::ALL {
            check(quantization, "blk.3.attn_q.weight", 40, WeightDtype::F16);
        }
    }

    #[test]
    fn half_of_the_layers_get_more_bits() {
        let layers: Vec<usize> = (0..30).filter(|&layer_idx| gets_more_bits(layer_idx, 30)).collect();
        assert_eq!(layers, [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29]);
        assert!(gets_more_bits(0, 1), "one layer is the last");
    }

    #[test]
    fn names_are_read_back() {
        for quantization in Quantization::ALL {
            assert_eq!(quantization.to_string().to_uppercase().parse(), Ok(quantization));
        }
        let error = "q3_k".parse::<Quantization>().unwrap_err();
        assert_eq!(error.to_string(), "\"q3_k\" is no quantisation; there are q8_0, q4_0, q4_k");
    }
}
