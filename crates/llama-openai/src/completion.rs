//! `/v1/completions`.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    ChoiceDetails, CompletionLogprobs, Extensions, FinishReason, GenerationOptions, Object, Remarks,
    SamplingOptions, Usage,
};

/// A text to continue.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompletionRequest {
    /// What to continue.
    #[serde(flatten)]
    pub input: CompletionInput,
    /// How long, how often, and in which form.
    #[serde(flatten)]
    pub options: GenerationOptions,
    /// How tokens are chosen.
    #[serde(flatten)]
    pub sampling: SamplingOptions,
    /// What OpenAI's API does not have.
    #[serde(flatten)]
    pub extensions: Extensions,
    /// What changes no answer.
    #[serde(flatten)]
    pub remarks: Remarks,
}

impl<'de> Deserialize<'de> for CompletionRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Object::deserialize(deserializer)?;
        let request = Self {
            input: object.take()?,
            options: object.take()?,
            sampling: object.take()?,
            extensions: Extensions::take(&mut object)?,
            remarks: object.take()?,
        };
        object.finish()?;
        Ok(request)
    }
}

/// The text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompletionInput {
    /// Name of the model; the server has one and takes any name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What to continue.
    pub prompt: Input,
    /// Of how many alternatives to each token to report log-probabilities; none are reported if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u32>,
    /// Whether the prompt is part of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo: Option<bool>,
    /// What comes after the answer. Not supported: the models here only look back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// Of how many answers to take the best. Not supported beyond `n`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_of: Option<u32>,
}

/// Texts or tokens, one or many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(
    untagged,
    expecting = "expected a string, a list of strings, a list of token ids, or a list of lists of token ids"
)]
pub enum Input {
    /// One text.
    Text(String),
    /// One text as token ids. An empty list is this.
    Tokens(Vec<u32>),
    /// Many texts.
    Texts(Vec<String>),
    /// Many texts as token ids.
    TokenLists(Vec<Vec<u32>>),
}

impl Default for Input {
    /// No tokens.
    fn default() -> Self {
        Self::Tokens(Vec::new())
    }
}

/// A continuation, or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompletionResponse {
    /// Names the answer.
    pub id: String,
    /// `text_completion`.
    pub object: String,
    /// When it was made, or begun if it is streamed, in seconds since 1970.
    pub created: u64,
    /// The model that makes it.
    pub model: String,
    /// `n` for each prompt; in a stream, what is new, and nothing in the last piece if that reports usage.
    pub choices: Vec<CompletionChoice>,
    /// Tokens in and out; in a stream in the last piece, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// One continuation; in a stream, what is new of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompletionChoice {
    /// Which of the prompts times `n`: all of the first prompt, then those of the next.
    pub index: u32,
    /// The text.
    pub text: String,
    /// Log-probabilities, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<CompletionLogprobs>,
    /// Why it ended; absent in a stream before that.
    #[serde(default)]
    pub finish_reason: Option<FinishReason>,
    /// What OpenAI's API does not have.
    #[serde(flatten)]
    pub details: ChoiceDetails,
}
