//! `/v1/embeddings`.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{Input, Object};

/// Texts to embed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EmbeddingRequest {
    /// The texts.
    #[serde(flatten)]
    pub input: EmbeddingInput,
    /// What OpenAI's API does not have.
    #[serde(flatten)]
    pub extensions: EmbeddingExtensions,
}

impl<'de> Deserialize<'de> for EmbeddingRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Object::deserialize(deserializer)?;
        let request = Self { input: object.take()?, extensions: object.take()? };
        object.finish()?;
        Ok(request)
    }
}

/// The texts, and what is to come of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EmbeddingInput {
    /// Name of the model; the server has one and takes any name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The texts. Token ids are not supported.
    pub input: Input,
    /// Leading components to keep: a size that the model was trained for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u64>,
    /// Numbers, or base64 of them as little-endian f32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_format: Option<EncodingFormat>,
    /// Who asks. Not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Value>,
}

/// How vectors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum EncodingFormat {
    /// As numbers.
    #[default]
    Float,
    /// As base64 of little-endian f32.
    Base64,
}

/// What OpenAI's API does not have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EmbeddingExtensions {
    /// What the texts are for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_type: Option<InputType>,
    /// Put before each text in place of the model's own prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// How a text becomes one vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Whether vectors have length one. They do unless this says false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalize: Option<bool>,
    /// Whether `dimensions` may be a size that the model was not trained for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrained_dimensions: Option<bool>,
    /// Whether texts that are too long are cut. They are refused unless this says true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate: Option<bool>,
    /// Who goes first when not all can, from -128 to 127.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i8>,
}

/// What texts are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum InputType {
    /// Neither of the others.
    Plain,
    /// Searching.
    Query,
    /// Being searched.
    Document,
}

/// How a text becomes one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean of its hidden states.
    Mean,
    /// The last of them.
    Last,
    /// The first of them.
    First,
    /// Their mean, weighted by position.
    WeightedMean,
}

/// Vectors, one for each text, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EmbeddingResponse {
    /// `list`.
    pub object: String,
    /// The vectors.
    pub data: Vec<Embedding>,
    /// The model that made them.
    pub model: String,
    /// Tokens read.
    pub usage: EmbeddingUsage,
    /// An extension: whether the model was trained for vectors of this size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained_dimensions: Option<bool>,
    /// An extension: which texts were not read to their end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_texts: Option<Vec<u64>>,
}

/// One vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Embedding {
    /// `embedding`.
    pub object: String,
    /// Which text it is of.
    pub index: u32,
    /// The vector.
    pub embedding: Vector,
}

/// A vector, in either form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Vector {
    /// As numbers.
    Float(Vec<f32>),
    /// As base64 of little-endian f32.
    Base64(String),
}

/// Tokens read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EmbeddingUsage {
    /// Of the texts.
    pub prompt_tokens: u64,
    /// The same.
    pub total_tokens: u64,
}
