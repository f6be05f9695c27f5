//! The list of properties: each operation, and whole decoders.
//!
//! A new property is one file with a `Problem` and one line in [`PROPERTIES`].

mod decoder;
mod decoder_model;
mod embed;
mod gated_linear;
mod gelu_linear;
mod kv_write;
mod layer_norm;
mod linear;
mod paged_attention;
mod residual;
mod rms_norm;
mod rope;
mod shapes;
mod span_attention;
mod swiglu;

use candle_core::DType;
use llama_backend::ops::Op;
use proptest::{prelude::*, strategy::BoxedStrategy};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{measure::Comparison, subject::Subject};

/// All properties, in the order of reports.
pub const PROPERTIES: &[Property] = &[
    Property::of::<embed::Embed>(),
    Property::of::<rms_norm::RmsNorm>(),
    Property::of::<linear::Linear>(),
    Property::of::<gated_linear::GatedLinear>(),
    Property::of::<swiglu::SwiGlu>(),
    Property::of::<residual::Residual>(),
    Property::of::<rope::Rope>(),
    Property::of::<kv_write::KvWrite>(),
    Property::of::<paged_attention::PagedAttention>(),
    Property::of::<layer_norm::LayerNorm>(),
    Property::of::<gelu_linear::GeluLinear>(),
    Property::of::<span_attention::SpanAttention>(),
    Property::of::<decoder::Decoder>(),
];

/// Plain data of one case, and how it is computed twice.
pub(crate) trait Problem: std::fmt::Debug + Serialize + DeserializeOwned + 'static {
    /// Name in reports and filters.
    const NAME: &'static str;
    /// The operation that it is about; none for whole decoders.
    const OP: Option<Op>;
    /// How its tolerance is made up.
    const TOLERANCE: &'static str;

    /// Random cases that compute in `dtype`.
    fn cases(dtype: DType) -> BoxedStrategy<Self>;

    /// Computes on the device and by the reference.
    fn compare(&self, subject: &Subject, dtype: DType) -> anyhow::Result<Comparison>;
}

/// A `Problem` without its type.
pub struct Property {
    /// Name in reports and filters.
    pub name: &'static str,
    /// The operation that it is about; none for whole decoders.
    pub op: Option<Op>,
    /// How its tolerance is made up.
    pub tolerance: &'static str,
    pub(crate) cases: fn(DType) -> BoxedStrategy<Value>,
    pub(crate) compare: fn(&Value, &Subject, DType) -> anyhow::Result<Comparison>,
}

impl Property {
    const fn of<P: Problem>() -> Self {
        Self {
            name: P::NAME,
            op: P::OP,
            tolerance: P::TOLERANCE,
            cases: |dtype| {
                let to_data = |case: P| serde_json::to_value(case).expect("cases are plain data");
                P::cases(dtype).prop_map(to_data).boxed()
            },
            compare: |case, subject, dtype| P::deserialize(case)?.compare(subject, dtype),
        }
    }

    /// The property of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROPERTIES.iter().find(|property| property.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_property() {
        for op in Op::ALL {
            assert!(PROPERTIES.iter().any(|property| property.op == Some(op)), "nothing compares {op}");
        }
    }
}
