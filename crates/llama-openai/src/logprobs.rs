//! Log-probabilities, in the two forms that OpenAI's API has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Those of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Logprobs {
    /// One for each token.
    pub content: Vec<TokenLogprob>,
}

/// Those of one token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TokenLogprob {
    /// The token's text.
    pub token: String,
    /// Its id. An extension that llama.cpp has too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// ln p.
    pub logprob: f32,
    /// The token's text as UTF-8.
    #[serde(default)]
    pub bytes: Option<Vec<u8>>,
    /// The most likely ones in its place, falling.
    #[serde(default)]
    pub top_logprobs: Vec<TopLogprob>,
}

/// A likely token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TopLogprob {
    /// Its text.
    pub token: String,
    /// Its id. An extension that llama.cpp has too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// ln p.
    pub logprob: f32,
    /// Its text as UTF-8.
    #[serde(default)]
    pub bytes: Option<Vec<u8>>,
}

/// Those of a completion. The lists have one item for each token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompletionLogprobs {
    /// The tokens' texts.
    pub tokens: Vec<String>,
    /// ln p of each; absent for the first token of an echoed prompt.
    pub token_logprobs: Vec<Option<f32>>,
    /// The most likely ones in each place, by their texts.
    pub top_logprobs: Vec<Option<BTreeMap<String, f32>>>,
    /// Where each begins: characters of the answer.
    pub text_offset: Vec<u64>,
    /// An extension: the same by ids, the token's own first, then the most likely ones, falling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_id: Option<Vec<Vec<crate::IdLogprob>>>,
}
