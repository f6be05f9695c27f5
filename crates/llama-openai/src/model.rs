//! `/v1/models`, `/health`, and tokens.

use serde::{Deserialize, Serialize};

use crate::Pooling;

/// The models of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ModelList {
    /// `list`.
    pub object: String,
    /// The models.
    pub data: Vec<Model>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Model {
    /// Its name.
    pub id: String,
    /// `model`.
    pub object: String,
    /// When it was loaded, in seconds since 1970.
    #[serde(default)]
    pub created: u64,
    /// Whose it is.
    #[serde(default)]
    pub owned_by: String,
    /// Longest sequence in tokens. An extension that vLLM has too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_model_len: Option<u64>,
    /// An extension: what the engine says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineDetails>,
}

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EngineDetails {
    /// Number of token ids.
    pub vocab_size: u64,
    /// Whether it generates: an encoder only embeds.
    pub generates: bool,
    /// Where it computes, for people.
    pub device: String,
    /// Tokens per cache block.
    pub block_len: u64,
    /// What its embeddings are like.
    pub embedding: EmbeddingDetails,
}

/// What a model's embeddings are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EmbeddingDetails {
    /// Components of a vector that is not cut.
    pub len: u64,
    /// Longest text in tokens.
    pub max_tokens: u64,
    /// How one vector is made of a text, unless asked otherwise.
    pub pooling: Pooling,
    /// Put before queries.
    pub query_prefix: String,
    /// Put before documents.
    pub document_prefix: String,
    /// Sizes that vectors can be cut to.
    pub trained_dimensions: Vec<u64>,
}

/// Whether a server is well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ok`, `starting` or `stopping`.
    pub status: String,
}

/// A text to turn into tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenizeRequest {
    /// The text; also called `content` or `prompt`.
    #[serde(alias = "content", alias = "prompt")]
    pub text: String,
    /// Name of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Its tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TokenizeResponse {
    /// Their ids.
    pub tokens: Vec<u32>,
    /// How many.
    pub count: u64,
}

/// Tokens to turn into a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DetokenizeRequest {
    /// Their ids.
    pub tokens: Vec<u32>,
    /// Name of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Their text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DetokenizeResponse {
    /// The text.
    pub text: String,
}
