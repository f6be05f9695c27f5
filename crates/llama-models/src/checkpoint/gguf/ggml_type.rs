//! The element formats that GGUF numbers: name, size, and which of them the decoder computes with.

use llama_backend::weight::WeightDtype;

use crate::checkpoint::table::TensorDtype;

/// One numbered format.
#[derive(Debug)]
pub(super) struct GgmlType {
    id: u32,
    name: &'static str,
    /// Values in one block.
    pub(super) block_len: u64,
    /// Bytes of one block.
    pub(super) block_bytes: u64,
    weight: Option<WeightDtype>,
}

const fn supported(id: u32, weight: WeightDtype) -> GgmlType {
    GgmlType {
        id,
        name: "",
        block_len: weight.block_len() as u64,
        block_bytes: weight.block_bytes() as u64,
        weight: Some(weight),
    }
}

const fn listed(id: u32, name: &'static str, block_len: u64, block_bytes: u64) -> GgmlType {
    GgmlType { id, name, block_len, block_bytes, weight: None }
}

/// `enum ggml_type` of ggml's `ggml.h`, with the sizes of its `type_traits` table.
static TYPES: [GgmlType; 35] = [
    supported(0, WeightDtype::F32),
    supported(1, WeightDtype::F16),
    supported(2, WeightDtype::Q4_0),
    supported(3, WeightDtype::Q4_1),
    supported(6, WeightDtype::Q5_0),
    listed(7, "Q5_1", 32, 24),
    supported(8, WeightDtype::Q8_0),
    listed(9, "Q8_1", 32, 36),
    listed(10, "Q2_K", 256, 84),
    listed(11, "Q3_K", 256, 110),
    supported(12, WeightDtype::Q4K),
    supported(13, WeightDtype::Q5K),
    supported(14, WeightDtype::Q6K),
    listed(15, "Q8_K", 256, 292),
    listed(16, "IQ2_XXS", 256, 66),
    listed(17, "IQ2_XS", 256, 74),
    listed(18, "IQ3_XXS", 256, 98),
    listed(19, "IQ1_S", 256, 50),
    listed(20, "IQ4_NL", 32, 18),
    listed(21, "IQ3_S", 256, 110),
    listed(22, "IQ2_S", 256, 82),
    listed(23, "IQ4_XS", 256, 136),
    listed(24, "I8", 1, 1),
    listed(25, "I16", 1, 2),
    listed(26, "I32", 1, 4),
    listed(27, "I64", 1, 8),
    listed(28, "F64", 1, 8),
    listed(29, "IQ1_M", 256, 56),
    supported(30, WeightDtype::Bf16),
    listed(34, "TQ1_0", 256, 54),
    listed(35, "TQ2_0", 256, 66),
    listed(39, "MXFP4", 32, 17),
    listed(40, "NVFP4", 64, 36),
    listed(41, "Q1_0", 128, 18),
    listed(42, "Q2_0", 64, 18),
];

impl GgmlType {
    /// The format of this number.
    pub(super) fn from_id(id: u32) -> Option<&'static Self> {
        TYPES.iter().find(|ggml_type| ggml_type.id == id)
    }

    /// As the table of tensors has it.
    pub(super) fn dtype(&self) -> TensorDtype {
        match self.weight {
            Some(weight) => TensorDtype::Supported(weight),
            None => TensorDtype::Unsupported(self.name.into()),
        }
    }
}

/// The number of a format that the decoder computes with.
pub(super) fn id_of(dtype: WeightDtype) -> u32 {
    (TYPES.iter().find(|ggml_type| ggml_type.weight == Some(dtype)))
        .expect("the tests hold that every WeightDtype is in TYPES")
        .id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_format_has_a_number() {
        for dtype in WeightDtype::ALL {
            let ggml_type = GgmlType::from_id(id_of(dtype)).expect("listed");
            assert_eq!(ggml_type.dtype(), TensorDtype::Supported(dtype));
        }
        assert!(GgmlType::from_id(4).is_none(), "Q4_2 was removed");
    }
}
