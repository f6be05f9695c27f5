//! What OpenAI's API does not have: together with it, all that an engine of this project can be asked.

use serde::{Deserialize, Serialize, de::Error};

use crate::{GrammarField, Object, Usage};

/// Extensions to a request for text.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Extensions {
    /// Further ways to choose tokens.
    #[serde(flatten)]
    pub samplers: SamplerExtensions,
    /// How the work is done, and what it starts from.
    #[serde(flatten)]
    pub work: WorkExtensions,
    /// What holds for single tokens and the whole answer.
    #[serde(flatten)]
    pub rules: RuleExtensions,
}

impl Extensions {
    pub(crate) fn take<E: Error>(object: &mut Object) -> Result<Self, E> {
        Ok(Self { samplers: object.take()?, work: object.take()?, rules: object.take()? })
    }
}

/// Further ways to choose tokens. Names are those of vLLM and llama.cpp where these have one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SamplerExtensions {
    /// Keeps the `k` most likely tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u64>,
    /// Keeps tokens at least this fraction as likely as the most likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// Keeps the tokens whose surprise is closest to the expected one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typical_p: Option<f32>,
    /// Keeps tokens at most this many standard deviations below the largest logit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_n_sigma: Option<f32>,
    /// Moves the temperature with the model's uncertainty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_temperature: Option<DynamicTemperature>,
    /// Divides logits of what was said before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f32>,
    /// How many of the last tokens the penalties look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty_last_n: Option<u64>,
    /// Against repeated phrases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry: Option<Dry>,
    /// Sometimes excludes the most likely tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xtc: Option<Xtc>,
    /// Steers the surprise of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirostat: Option<Mirostat>,
    /// In which order all this is applied, by the stages' names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler_order: Option<Vec<String>>,
}

/// Moves the temperature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DynamicTemperature {
    /// How far.
    pub range: f32,
    /// The power of the normalised entropy.
    pub exponent: f32,
}

/// Don't repeat yourself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Dry {
    /// Subtracted from the logit that continues a phrase of `allowed_len` tokens.
    pub multiplier: f32,
    /// How that grows.
    pub base: f32,
    /// Shorter phrases may be repeated.
    pub allowed_len: u64,
    /// How many of the last tokens it looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_n: Option<u64>,
    /// No phrase goes across these.
    pub breakers: Vec<String>,
}

/// Exclude top choices.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Xtc {
    /// How often.
    pub probability: f32,
    /// What counts as one.
    pub threshold: f32,
}

/// A text of constant surprise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Mirostat {
    /// 1 or 2.
    pub version: u8,
    /// The surprise, in bits per token.
    pub tau: f32,
    /// How fast the limit follows.
    pub eta: f32,
}

/// How the work is done, and what it starts from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WorkExtensions {
    /// A pinned context to start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextField>,
    /// Whether the answer leaves its context pinned: its id comes with the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<bool>,
    /// Who goes first when not all can, from -128 to 127.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i8>,
    /// Most time from arrival to the end, in microseconds. What there is by then is the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_us: Option<u64>,
    /// How tokens are drafted ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speculation: Option<SpeculationField>,
    /// Of how many alternatives to each token of the prompt to report log-probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_logprobs: Option<u32>,
    /// Whether to report each token's id, and at the end what [`FinishDetails`] has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<bool>,
}

/// What holds for single tokens and the whole answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RuleExtensions {
    /// What the answer has to look like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grammar: Option<GrammarField>,
    /// Whether end-of-text tokens are tokens like any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_eos: Option<bool>,
    /// Nothing but these tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_token_ids: Option<Vec<u32>>,
    /// None of these tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banned_token_ids: Option<Vec<u32>>,
    /// They end the answer and are not part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_token_ids: Option<Vec<u32>>,
    /// Nothing ends the answer before it has so many tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_tokens: Option<u64>,
}

/// Names a pinned context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged, expecting = "expected the id of a context, or an object of `id` and `tokens`")]
pub enum ContextField {
    /// All of it.
    Whole(String),
    /// Its beginning.
    Beginning {
        /// Its id.
        id: String,
        /// How many of its tokens.
        tokens: u64,
    },
}

/// How tokens are drafted ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SpeculationField {
    /// As far as it pays.
    Auto,
    /// Not at all.
    Off,
    /// Always this many.
    Fixed(u32),
}

/// Extensions to an answer, or to a piece of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChoiceDetails {
    /// Ids of the tokens, if asked for with `details`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<u32>>,
    /// What became certain about citations, under a grammar of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citations: Option<Vec<Citation>>,
    /// The prompt as the model sees it, if asked for with `prompt_logprobs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<Vec<PromptToken>>,
    /// Name of the context that the answer leaves, if asked for with `keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextAnswer>,
    /// How it ended, if asked for with `details`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_details: Option<FinishDetails>,
}

/// A citation in an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Citation {
    /// The id cited.
    pub id: u32,
    /// As it stands in the answer.
    pub marker: String,
    /// Where it begins: bytes of the answer.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// A token of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PromptToken {
    /// Its id.
    pub id: u32,
    /// Its own log-probability, then those of the most likely ones; absent where nothing comes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<IdLogprob>>,
}

/// A token by its id, and its log-probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct IdLogprob {
    /// The token.
    pub id: u32,
    /// ln p.
    pub logprob: f32,
}

/// A pinned context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ContextAnswer {
    /// Its name.
    pub id: String,
    /// `context`.
    pub object: String,
    /// How many tokens it has.
    pub tokens: u64,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FinishDetails {
    /// Why.
    pub reason: FinishCause,
    /// Tokens of this answer alone.
    pub usage: Usage,
    /// Tokens that the grammar left no choice about.
    pub forced_tokens: u64,
    /// From arrival to the first step, in microseconds.
    pub queued_us: u64,
    /// From arrival to the first token, in microseconds.
    pub time_to_first_token_us: u64,
    /// From arrival to the end, in microseconds.
    pub total_us: u64,
    /// Drafts verified, tokens drafted, tokens accepted.
    pub drafts: [u64; 3],
}

/// Why an answer ended, more exactly than OpenAI's API says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FinishCause {
    /// The model said so.
    EndOfText,
    /// A stop text appeared.
    StopText {
        /// This one.
        text: String,
    },
    /// The model chose a stop token.
    StopToken {
        /// This one.
        id: u32,
    },
    /// The token limit.
    MaxTokens,
    /// Someone stopped it.
    Interrupted,
    /// Its time was over.
    Deadline,
}
