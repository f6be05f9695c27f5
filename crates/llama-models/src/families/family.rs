//! What a family's file says. Families differ in these points and in no others.

use std::fmt;

use llama_backend::ops::rope::RopeLayout;

use super::FAMILIES;
use crate::config::{AttentionBias, EncoderConfig, QkNorm};

/// One model family.
pub struct Family {
    /// `model_type` in config.json, and our name of the family.
    pub name: &'static str,
    /// `architectures` in config.json.
    pub architectures: &'static [&'static str],
    /// `general.architecture` in GGUF files; `None` where another family's stands for it.
    pub gguf: Option<GgufNaming>,
    /// Biases of the attention projections.
    pub bias: BiasRule,
    /// Norms of queries and keys.
    pub qk_norm: QkNorm,
    /// Sliding windows.
    pub window: WindowRule,
    /// `head_dim` if config.json does not say: `None` divides `hidden_size` by the heads.
    pub default_head_dim: Option<usize>,
}

/// A family in GGUF files.
#[derive(Clone, Copy, Debug)]
pub struct GgufNaming {
    /// `general.architecture`, which also begins the family's metadata keys.
    pub architecture: &'static str,
    /// How the converter left the rows of the query and key projections.
    pub rope_layout: RopeLayout,
}

/// Where a family's attention biases are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BiasRule {
    /// Always these.
    Fixed(AttentionBias),
    /// `attention_bias` in config.json puts them on all four projections; in GGUF the tensors tell.
    Configured,
}

/// Where a family's sliding windows are decided in config.json. In GGUF it is one key for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowRule {
    /// There are none.
    Never,
    /// `sliding_window`, unless null, on every layer.
    EveryLayer {
        /// If the field is absent.
        default_sliding_window: usize,
    },
    /// `sliding_window` if `use_sliding_window`, on the layers that `layer_types` or `max_window_layers` says.
    Gated {
        /// If the field is absent.
        default_sliding_window: usize,
        /// If the field is absent.
        default_max_window_layers: usize,
    },
}

impl Family {
    /// The family of one of config.json's `architectures`.
    pub fn of_architecture(architecture: &str) -> Option<&'static Self> {
        find(|family| family.architectures.contains(&architecture))
    }

    /// The family of config.json's `model_type`.
    pub fn of_model_type(model_type: &str) -> Option<&'static Self> {
        find(|family| family.name == model_type)
    }

    /// The family of GGUF's `general.architecture`.
    pub fn of_gguf_architecture(architecture: &str) -> Option<(&'static Self, GgufNaming)> {
        FAMILIES.iter().find_map(|family| {
            let naming = family.gguf?;
            (naming.architecture == architecture).then_some((*family, naming))
        })
    }

    /// The names of all families, and of encoders, for messages.
    pub(crate) fn supported() -> String {
        format!("{}; encoders: {}", FAMILIES.map(|family| family.name).join(", "), EncoderConfig::supported())
    }
}

/// Its name: the rest is in the family's file.
impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

fn find(matches: impl Fn(&Family) -> bool) -> Option<&'static Family> {
    FAMILIES.iter().copied().find(|family| matches(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_found_under_each_of_its_names() {
        for family in FAMILIES {
            assert_eq!(Family::of_model_type(family.name), Some(family));
            for architecture in family.architectures {
                assert_eq!(Family::of_architecture(architecture), Some(family));
            }
            if let Some(naming) = family.gguf {
                let (found, _) = Family::of_gguf_architecture(naming.architecture).expect("listed");
                assert_eq!(found, family);
            }
        }
        assert_eq!(Family::of_model_type("mixtral"), None);
    }
}
