//! What servers answer, as far as it is read: the standard's JSON, where every field may be missing.
//!
//! Lenient on purpose: servers leave fields out, say `null`, and add their own. What an answer cannot do without is
//! demanded where it is used.

use llama_engine::{TokenLogprob, Usage};
use llama_openai as wire;
use serde::Deserialize;
use serde_json::Value;

/// A part of a streamed answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Chunk {
    pub(crate) choices: Vec<Choice>,
    pub(crate) usage: Option<TokenCounts>,
    pub(crate) error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Choice {
    /// After a text.
    pub(crate) text: Option<String>,
    /// In a conversation.
    pub(crate) delta: Option<Delta>,
    pub(crate) logprobs: Option<Logprobs>,
    pub(crate) finish_reason: Option<String>,
    /// Which text or token, on some servers.
    pub(crate) stop_reason: Option<Value>,
    /// These are our own server's, see [`wire::ChoiceDetails`].
    pub(crate) token_ids: Option<Vec<u32>>,
    pub(crate) citations: Option<Vec<wire::Citation>>,
    pub(crate) prompt_tokens: Option<Vec<wire::PromptToken>>,
    pub(crate) context: Option<wire::ContextAnswer>,
    pub(crate) finish_details: Option<wire::FinishDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Delta {
    pub(crate) content: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Logprobs {
    pub(crate) content: Option<Vec<LogprobEntry>>,
    /// Our own server's.
    pub(crate) by_id: Option<Vec<Vec<wire::IdLogprob>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogprobEntry {
    /// Not in the standard, but without it nobody knows which token it is.
    pub(crate) id: Option<u32>,
    pub(crate) logprob: f32,
    pub(crate) top_logprobs: Vec<LogprobEntry>,
}

impl LogprobEntry {
    /// The token's own, then those of the alternatives; `None` if one of them is not named.
    pub(crate) fn by_id(&self) -> Option<Vec<TokenLogprob>> {
        let read = |entry: &Self| Some(TokenLogprob { id: entry.id?, logprob: entry.logprob });
        std::iter::once(self).chain(&self.top_logprobs).map(read).collect()
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TokenCounts {
    pub(crate) prompt_tokens: usize,
    pub(crate) completion_tokens: usize,
    pub(crate) prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PromptDetails {
    pub(crate) cached_tokens: Option<usize>,
}

impl From<TokenCounts> for Usage {
    fn from(counts: TokenCounts) -> Self {
        Self {
            prompt_tokens: counts.prompt_tokens,
            cached_tokens: counts
                .prompt_tokens_details
                .and_then(|details| details.cached_tokens)
                .unwrap_or(0),
            completion_tokens: counts.completion_tokens,
            ..Self::default()
        }
    }
}

/// The models of a server.
#[derive(Debug, Deserialize)]
pub(crate) struct ModelList {
    pub(crate) data: Vec<ModelEntry>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ModelEntry {
    pub(crate) id: String,
    /// vLLM's.
    pub(crate) max_model_len: Option<usize>,
    /// llama.cpp's.
    pub(crate) meta: Option<ModelMeta>,
    /// Our own server's.
    pub(crate) engine: Option<wire::EngineDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ModelMeta {
    pub(crate) n_vocab: Option<usize>,
    pub(crate) n_ctx: Option<usize>,
    pub(crate) n_ctx_train: Option<usize>,
    pub(crate) n_embd: Option<usize>,
}

/// Many vectors.
#[derive(Debug, Deserialize)]
pub(crate) struct EmbeddingList {
    pub(crate) data: Vec<EmbeddingEntry>,
    #[serde(default)]
    pub(crate) usage: TokenCounts,
    /// Our own server's.
    #[serde(default)]
    pub(crate) cut_texts: Option<Vec<usize>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct EmbeddingEntry {
    pub(crate) index: usize,
    pub(crate) embedding: wire::Vector,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TokenList {
    pub(crate) tokens: Vec<u32>,
}

/// The text of tokens: `content` on llama.cpp, `prompt` on vLLM.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenText {
    #[serde(alias = "prompt", alias = "text")]
    pub(crate) content: String,
}

/// What the standard says of an error, and what llama.cpp adds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorDetails {
    pub(crate) message: String,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) param: Option<String>,
    /// A word, or the HTTP status once more.
    pub(crate) code: Option<Value>,
    /// Our own server's.
    pub(crate) details: Option<wire::ErrorDetails>,
    pub(crate) n_prompt_tokens: Option<usize>,
    pub(crate) n_ctx: Option<usize>,
}
