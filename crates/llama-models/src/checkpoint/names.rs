//! Tensor names: the canonical ones, which are Hugging Face's, and what GGUF calls the same tensors.

use std::borrow::Cow;

/// Tensors outside the layers: canonical stem, GGUF stem.
const GLOBAL_STEMS: [(&str, &str); 4] = [
    ("model.embed_tokens", "token_embd"),
    ("model.norm", "output_norm"),
    ("lm_head", "output"),
    ("rope_freqs", "rope_freqs"),
];

/// Tensors of one layer: canonical stem after `model.layers.N.`, GGUF stem after `blk.N.`.
const LAYER_STEMS: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

const LAYER_PREFIX: &str = "model.layers.";
const GGUF_LAYER_PREFIX: &str = "blk.";
const ENCODER_LAYER_PREFIX: &str = "encoder.layer.";

/// GGUF's name of the tensor with this canonical name; a name that is not canonical is given back as it is.
pub(crate) fn gguf_name(canonical: &str) -> Cow<'_, str> {
    translate(canonical).map_or(Cow::Borrowed(canonical), Cow::Owned)
}

/// The layer that a tensor belongs to, under any naming.
pub(crate) fn layer_idx(name: &str) -> Option<usize> {
    let prefixes = [LAYER_PREFIX, GGUF_LAYER_PREFIX, ENCODER_LAYER_PREFIX];
    let rest = prefixes.into_iter().find_map(|prefix| name.strip_prefix(prefix))?;
    rest.split_once('.')?.0.parse().ok()
}

fn translate(canonical: &str) -> Option<String> {
    let (stem, suffix) = canonical.rsplit_once('.')?; // weight or bias
    match stem.strip_prefix(LAYER_PREFIX) {
        Some(rest) => {
            let (layer, stem) = rest.split_once('.')?;
            let gguf = lookup(&LAYER_STEMS, stem)?;
            Some(format!("{GGUF_LAYER_PREFIX}{layer}.{gguf}.{suffix}"))
        }
        None => Some(format!("{}.{suffix}", lookup(&GLOBAL_STEMS, stem)?)),
    }
}

fn lookup(stems: &[(&str, &'static str)], canonical: &str) -> Option<&'static str> {
    stems.iter().find(|(stem, _)| *stem == canonical).map(|(_, gguf)| *gguf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(canonical: &str, gguf: &str) {
        assert_eq!(gguf_name(canonical), gguf);
    }

    #[test]
    fn canonical_names_become_gguf_names() {
        check("model.embed_tokens.weight", "token_embd.weight");
        check("model.norm.weight", "output_norm.weight");
        check("lm_head.weight", "output.weight");
        check("rope_freqs.weight", "rope_freqs.weight");
        check("model.layers.0.input_layernorm.weight", "blk.0.attn_norm.weight");
        check("model.layers.12.self_attn.q_proj.bias", "blk.12.attn_q.bias");
        check("model.layers.7.self_attn.o_proj.weight", "blk.7.attn_output.weight");
        check("model.layers.7.self_attn.k_norm.weight", "blk.7.attn_k_norm.weight");
        check("model.layers.3.post_attention_layernorm.weight", "blk.3.ffn_norm.weight");
        check("model.layers.3.mlp.down_proj.weight", "blk.3.ffn_down.weight");
    }

    #[test]
    fn other_names_stay() {
        check("blk.0.attn_q.weight", "blk.0.attn_q.weight");
        check("model.layers.0.unheard_of.weight", "model.layers.0.unheard_of.weight");
        check("", "");
    }

    #[test]
    fn layers_are_found_under_any_naming() {
        assert_eq!(layer_idx("model.layers.12.mlp.up_proj.weight"), Some(12));
        assert_eq!(layer_idx("blk.3.attn_q.bias"), Some(3));
        assert_eq!(layer_idx("encoder.layer.5.output.dense.weight"), Some(5));
        assert_eq!(layer_idx("token_embd.weight"), None);
        assert_eq!(layer_idx("blk.99999999999999999999.x"), None);
    }
}
